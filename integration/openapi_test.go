package integration

import (
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
// Seen to fail with a field of a version left out of the description, and with one of an
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
	for _, test := range []struct {
		status             int
		method, path, user string
	}{
		{200, "GET", packages + "alice", ""},
		{200, "GET", packages + "alice?type=generic&q=t_o&page=2&limit=1", "bob"},
		{401, "GET", packages + "closed", ""},
		{404, "GET", packages + "closed", "bob"},
		{400, "GET", packages + "%20alice", ""},
		{200, "GET", packages + "alice/generic/tool", ""},
		{404, "GET", packages + "alice/generic/none", ""},
		{200, "GET", packages + "alice/generic/tool/-/latest", ""},
		{404, "GET", packages + "alice/generic/none/-/latest", ""},
		{200, "GET", packages + "alice/generic/tool/1.0.0", ""},
		{200, "GET", packages + "alice/generic/tool/a%2Fb/files", ""},
		{404, "GET", packages + "alice/generic/tool/9/files", ""},
		{200, "GET", "/api/v1/version", ""},
		{200, "GET", "/api/v1/user", "alice"},
		{401, "GET", "/api/v1/user", ""},
		{200, "GET", repo, ""},
		{200, "GET", repo + "?draft=false&pre-release=true&page=1&limit=1", ""},
		{404, "GET", "/api/v1/repos/alice/none/releases", ""},
		{200, "GET", repo + "/latest", ""},
		{200, "GET", repo + "/tags/2.0.0-rc.1", ""},
		{404, "GET", repo + "/tags/9", ""},
		{200, "GET", "/api/packages/-/openapi.json", ""},
		{200, "GET", filePath("alice", "tool", "1.0.0", "f"), ""},
		{404, "GET", filePath("alice", "tool", "1.0.0", "none"), ""},
		{401, "PUT", filePath("alice", "tool", "1.0.0", "new"), ""},
		{201, "PUT", filePath("alice", "tool", "1.0.0", "new"), "alice"},
		{409, "PUT", filePath("alice", "tool", "1.0.0", "new"), "alice"},
		{403, "DELETE", filePath("alice", "tool", "1.0.0", "new"), "bob"},
		{204, "DELETE", filePath("alice", "tool", "1.0.0", "new"), "alice"},
		{204, "DELETE", versionPath("alice", "tool", "a%2Fb"), "alice"},
		{401, "DELETE", packages + "alice/generic/tool/1.0.0", ""},
		{403, "DELETE", packages + "alice/generic/tool", "bob"},
		{204, "DELETE", packages + "alice/generic/tool/1.0.0", "alice"},
		{204, "DELETE", packages + "alice/generic/tool", "alice"},
		{404, "DELETE", packages + "alice/generic/tool", "alice"},
	} {
		t.Run(fmt.Sprintf("%s %s as %q", test.method, test.path, test.user), func(t *testing.T) {
			var content []byte
			if test.method == http.MethodPut {
				content = []byte("x")
			}
			got := s.in(t).want(test.status, test.method, test.path, test.user, content)
			request, err := http.NewRequest(test.method, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, test.path), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := description.judge(request, got); err != nil {
				t.Errorf("%v\n%s", err, got.text())
			}
		})
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
		{"api off", "/api/packages", []string{`"/api/packages/-/openapi.json"`}, []string{"/api/v1/"}},
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
