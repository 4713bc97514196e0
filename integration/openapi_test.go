package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// described is a description of APIs, by which answers are judged.
type described struct {
	document *openapi3.T
	router   routers.Router
}

// describedBy reads the description that a server serves, which is valid.
func (s *server) describedBy(path string) described {
	s.Helper()
	got := s.want(http.StatusOK, http.MethodGet, path, "", nil)
	document, err := openapi3.NewLoader().LoadFromData(got.body)
	if err != nil {
		s.Fatalf("%v in %.200s", err, got.text())
	}
	if err := document.Validate(s.Context()); err != nil || document.OpenAPI != "3.1.1" {
		s.Fatalf("OpenAPI %s: %v", document.OpenAPI, err)
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		s.Fatal(err)
	}
	return described{document, router}
}

// parametersOf are all that a description names besides names in paths, by operation.
func (d described) parametersOf() map[string]bool {
	all := make(map[string]bool)
	for path, item := range d.document.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, parameter := range operation.Parameters {
				all[fmt.Sprintf("%s %s: %s %s", method, path, parameter.Value.In, parameter.Value.Name)] = true
			}
			all[fmt.Sprintf("%s %s", method, path)] = true
		}
	}
	return all
}

// cover drops what a request uses of the parameters.
func (d described) cover(request *http.Request, left map[string]bool) error {
	route, names, err := d.router.FindRoute(request)
	if err != nil {
		return err
	}
	operation := fmt.Sprintf("%s %s", route.Method, route.Path)
	delete(left, operation)
	known := make(map[string]bool)
	for _, parameter := range route.Operation.Parameters {
		in, name := parameter.Value.In, parameter.Value.Name
		known[in+" "+name] = true
		if in == "query" && request.URL.Query().Has(name) || in == "header" && request.Header.Get(name) != "" {
			delete(left, fmt.Sprintf("%s: %s %s", operation, in, name))
		}
	}
	for name := range request.URL.Query() {
		if !known["query "+name] {
			return fmt.Errorf("%s does not describe the parameter %s", operation, name)
		}
	}
	return openapi3filter.ValidateRequest(request.Context(), &openapi3filter.RequestValidationInput{
		Request: request, PathParams: names, Route: route,
		Options: &openapi3filter.Options{ExcludeRequestBody: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

// judge tells how an answer differs from its description.
func (d described) judge(request *http.Request, got answer) error {
	route, parameters, err := d.router.FindRoute(request)
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
		Status:                 got.status, Header: got.header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(got.body)
	return openapi3filter.ValidateResponse(request.Context(), input)
}

// TestAnswersAreAsDescribed: the description is OpenAPI 3.1, and what is answered is what it
// says, statuses, header lines and bodies.
//
// Everything that is described is asked for: each operation, and each parameter of it.
//
// Seen to fail with a parameter that no request has, and with a field of a version left out of the description, and with one of an
// asset that no answer has.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	s := startServer(t, "releases", "owner closed {", "\tread alice", "}")
	for _, version := range []string{"1.0.0", "2.0.0-rc.1", "a%2Fb"} {
		s.put(filePath("alice", "tool", version, "f"), []byte(version))
		s.put(filePath("alice", "tool", version, "g"), []byte(version))
	}
	description := s.describedBy("/api/packages/-/openapi.json")
	const packages, repo = "/api/v1/packages/", "/api/v1/repos/alice/tool/releases"
	left := description.parametersOf()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	upload, given := s.beginUpload(filePath("alice", "tool", "3.0.0", "f")), s.beginUpload(filePath("alice", "tool", "3.0.0", "g"))
	s.want(201, http.MethodPut, filePath("alice", "tool", "4.0.0", "f")+"?draft", "alice", []byte("x"))
	for _, test := range []struct {
		status             int
		method, path, user string
		headers            []header
	}{
		{201, "PUT", filePath("alice", "tool", "4.0.0", "g") + "?draft=1", "alice", nil},
		{200, "GET", filePath("alice", "tool", "4.0.0", "f"), "alice", nil},
		{200, "HEAD", filePath("alice", "tool", "4.0.0", "f"), "alice", nil},
		{400, "POST", versionPath("alice", "tool", "4.0.0") + "?publish=", "alice", nil}, // x is no list of checksums
		{401, "POST", versionPath("alice", "tool", "4.0.0") + "?publish=true", "", nil},
		{200, "GET", versionPath("alice", "tool", "1.0.0") + "?archive=tar", "", nil},
		{206, "GET", versionPath("alice", "tool", "latest") + "?archive=tar", "", []header{{"Range", "bytes=0-9"}}},
		{304, "GET", versionPath("alice", "tool", "1.0.0") + "?archive=tar", "", []header{{"If-None-Match", "*"}}},
		{200, "GET", versionPath("alice", "tool", "1.0.0") + "?archive=zip", "", nil},
		{404, "GET", versionPath("alice", "tool", "9") + "?archive=zip", "", nil},
		{200, "GET", filePath("alice", "tool", "latest", "f"), "", []header{{"Want-Digest", "SHA-256"}}},
		{206, "GET", filePath("alice", "tool", "^1", "f"), "", []header{{"Range", "bytes=1-2"}}},
		{304, "GET", filePath("alice", "tool", "1.0.0", "f"), "", []header{{"If-None-Match", "*"}}},
		{416, "GET", filePath("alice", "tool", "1.0.0", "f"), "", []header{{"Range", "bytes=99-"}}},
		{200, "GET", filePath("alice", "tool", "1.0.0", "SHA256SUMS"), "", nil},
		{200, "GET", filePath("alice", "tool", "1.0.0", "f.sha512"), "", nil},
		{200, "HEAD", filePath("alice", "tool", "1.0.0", "f"), "", []header{{"Want-Digest", "SHA-256"}}},
		{304, "HEAD", filePath("alice", "tool", "1.0.0", "f"), "", []header{{"If-None-Match", "*"}}},
		{204, "OPTIONS", filePath("alice", "tool", "3.0.0", "f"), "alice", []header{interop}},
		{403, "OPTIONS", filePath("alice", "tool", "3.0.0", "f"), "bob", []header{interop}},
		{201, "PUT", filePath("alice", "tool", "3.0.0", "h"), "alice", []header{interop, incomplete, uploadLength(9), reprDigest([]byte("123456789"))}},
		{409, "PUT", filePath("alice", "tool", "1.0.0", "f"), "alice", []header{interop, incomplete}},
		{412, "PUT", filePath("alice", "tool", "1.0.0", "f"), "alice", []header{{"If-None-Match", "*"}}},
		{204, "HEAD", upload, "alice", []header{interop}},
		{204, "PATCH", upload, "alice", []header{interop, partial, uploadOffset(0), uploadLength(2), incomplete}},
		{409, "PATCH", upload, "alice", []header{interop, partial, uploadOffset(7), incomplete}},
		{201, "PATCH", upload, "alice", []header{interop, partial, uploadOffset(1), complete}},
		{403, "PATCH", given, "bob", []header{interop, partial, uploadOffset(0), complete}},
		{204, "DELETE", given, "alice", nil},
		{404, "DELETE", given, "alice", nil},
		{200, "GET", packages + "alice/generic/tool?page=2&limit=1", "", nil},
		{302, "GET", "/attachments/" + base64.RawURLEncoding.EncodeToString([]byte("alice\x00tool\x001.0.0\x00f")), "", nil},
		{200, "GET", packages + "alice", "", nil},
		{200, "GET", packages + "alice?type=generic&q=t_o&page=2&limit=1", "bob", nil},
		{401, "GET", packages + "closed", "", nil},
		{404, "GET", packages + "closed", "bob", nil},
		{400, "GET", packages + "%20alice", "", nil},
		{200, "GET", packages + "alice/generic/tool", "", nil},
		{404, "GET", packages + "alice/generic/none", "", nil},
		{200, "GET", packages + "alice/generic/tool/-/latest", "", nil},
		{404, "GET", packages + "alice/generic/none/-/latest", "", nil},
		{200, "GET", packages + "alice/generic/tool/1.0.0", "", nil},
		{200, "GET", packages + "alice/generic/tool/a%2Fb/files", "", nil},
		{404, "GET", packages + "alice/generic/tool/9/files", "", nil},
		{200, "GET", "/api/v1/version", "", nil},
		{200, "GET", "/api/v1/user", "alice", nil},
		{401, "GET", "/api/v1/user", "", nil},
		{200, "GET", repo, "", nil},
		{200, "GET", repo + "?draft=false&pre-release=true&page=1&limit=1", "", nil},
		{404, "GET", "/api/v1/repos/alice/none/releases", "", nil},
		{200, "GET", repo + "/latest", "", nil},
		{200, "GET", repo + "/tags/2.0.0-rc.1", "", nil},
		{404, "GET", repo + "/tags/9", "", nil},
		{200, "GET", "/api/packages/-/openapi.json", "", nil},
		{200, "GET", filePath("alice", "tool", "1.0.0", "f"), "", nil},
		{404, "GET", filePath("alice", "tool", "1.0.0", "none"), "", nil},
		{401, "PUT", filePath("alice", "tool", "1.0.0", "new"), "", nil},
		{201, "PUT", filePath("alice", "tool", "1.0.0", "new"), "alice", nil},
		{409, "PUT", filePath("alice", "tool", "1.0.0", "new"), "alice", nil},
		{403, "DELETE", filePath("alice", "tool", "1.0.0", "new"), "bob", nil},
		{204, "DELETE", filePath("alice", "tool", "1.0.0", "new"), "alice", nil},
		{204, "DELETE", versionPath("alice", "tool", "a%2Fb"), "alice", nil},
		{401, "DELETE", packages + "alice/generic/tool/1.0.0", "", nil},
		{403, "DELETE", packages + "alice/generic/tool", "bob", nil},
		{204, "DELETE", packages + "alice/generic/tool/1.0.0", "alice", nil},
		{204, "DELETE", packages + "alice/generic/tool", "alice", nil},
		{404, "DELETE", packages + "alice/generic/tool", "alice", nil},
	} {
		t.Run(fmt.Sprintf("%s %s as %q", test.method, test.path, test.user), func(t *testing.T) {
			var content []byte
			if test.method == http.MethodPut || test.method == http.MethodPatch || test.method == http.MethodPost {
				content = []byte("x")
			}
			got := s.in(t).want(test.status, test.method, test.path, test.user, content, test.headers...)
			request, err := http.NewRequest(test.method, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, test.path), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range test.headers {
				request.Header.Add(h.name, h.value)
			}
			if err := description.cover(request, left); err != nil {
				t.Error(err)
			}
			if err := description.judge(request, got); err != nil {
				t.Errorf("%v\n%s", err, got.text())
			}
		})
	}
	for described := range left {
		t.Errorf("nobody asks for %s", described)
	}
}

// TestDescriptionIsOfTheSite: it has the paths that there are, and no others.
func TestDescriptionIsOfTheSite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings, at string
		has, lacks   []string
	}{
		{"", "/api/packages", []string{`"/api/packages/{owner}/generic/{package}/{version}/{file}"`, `"/api/v1/packages/{owner}"`}, []string{"/repos/", "/attachments/"}},
		{"releases", "/api/packages", []string{`"/api/v1/repos/{owner}/{package}/releases/latest"`, `"/attachments/{uuid}"`}, nil},
		{"prefix /", "", []string{`"/{owner}/generic/{package}/{version}/{file}"`, `"/-/openapi.json"`}, []string{"/api/"}},
		{"prefix /my%20files\n\t\tapi /json\n\t\treleases", "/my%20files", []string{`"/my%20files/{owner}/generic/{package}/{version}"`, `"/json/packages/{owner}"`, `"/json/attachments/{uuid}"`}, []string{"/api/"}},
		{"api off", "/api/packages", []string{`"/api/packages/-/openapi.json"`}, []string{"/api/v1/", "page", "Version", "Error"}},
		{"archive off\n\t\tdrafts off\n\t\tresumable off\n\t\tselect off\n\t\tchecksums {\n\t\t\tsums SUMS\n\t\t\thashes md5\n\t\t}", "/api/packages", []string{"Of a download also SUMS, the name of a file with .md5, where"}, []string{"archive", "post", "patch", "Content-Location"}},
	} {
		t.Run(test.settings, func(t *testing.T) {
			s := startServer(t, test.settings)
			path := test.at + "/-/openapi.json"
			got := s.want(http.StatusOK, http.MethodGet, path, "", nil)
			for _, text := range append(test.has, fmt.Sprintf(`"servers":[{"url":"http://127.0.0.1:%d"}]`, s.port)) {
				if !strings.Contains(got.text(), text) {
					t.Errorf("%s is missing", text)
				}
			}
			for _, text := range test.lacks {
				if strings.Contains(got.text(), `"`+text) {
					t.Errorf("it has %s", text)
				}
			}
			s.describedBy(path)
			head := s.want(http.StatusOK, http.MethodHead, path, "", nil)
			if want := fmt.Sprint(len(got.body)); head.header.Get("Content-Length") != want {
				t.Errorf("HEAD says %s bytes, want %s", head.header.Get("Content-Length"), want)
			}
			s.want(http.StatusMethodNotAllowed, http.MethodPost, path, "alice", nil)
		})
	}
}
