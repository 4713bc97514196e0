package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const jsonAPI = "/api/v1/packages/"

// asked is what a JSON answer says, for the fields that the tests look at.
type asked struct {
	ID      int64
	Owner   struct{ Login, Visibility string }
	Creator struct{ Username string }
	Type    string
	Name    string
	Version string
	HTMLURL string    `json:"html_url"`
	Created time.Time `json:"created_at"`
	Size    int64
	SHA256  string
	Message string
	URL     string
}

func (a asked) String() string { return a.Name + "@" + a.Version }

// list gets a JSON array.
func (s *server) list(path, user string) (found []asked, total string) {
	s.Helper()
	got := s.want(http.StatusOK, http.MethodGet, path, user, nil)
	if err := json.Unmarshal(got.body, &found); err != nil {
		s.Fatalf("%s: %v in %s", path, err, got.text())
	}
	return found, got.header.Get("X-Total-Count")
}

// one gets a JSON object.
func (s *server) one(status int, method, path, user string) (found asked) {
	s.Helper()
	got := s.want(status, method, path, user, nil)
	if err := json.Unmarshal(got.body, &found); err != nil {
		s.Fatalf("%s: %v in %s", path, err, got.text())
	}
	if mediaType := got.header.Get("Content-Type"); mediaType != "application/json;charset=utf-8" {
		s.Errorf("%s: Content-Type %q", path, mediaType)
	}
	return found
}

// TestJSONAPIListsVersionsAndFiles: lists, versions and files, while they are published and
// deleted.
func TestJSONAPIListsVersionsAndFiles(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner team {", "\twrite alice bob", "}")
	for _, path := range []string{
		filePath("Team", "Tool", "v1.0", "b.bin"), filePath("team", "tool", "V1.0", "a.bin"), filePath("team", "lib", "1", "f"),
		filePath("team", "tool", "1.1", "f"), filePath("team", "tool", "a%2Fb", "f"),
	} {
		s.put(path, []byte(path))
	}
	names := func(path string) string {
		t.Helper()
		found, total := s.list(path, "")
		return fmt.Sprint(total, " ", found)
	}
	for path, want := range map[string]string{
		"team":                                 "4 [Tool@a/b Tool@1.1 lib@1 Tool@v1.0]",
		"TEAM?type=generic&q=OO":               "3 [Tool@a/b Tool@1.1 Tool@v1.0]",
		"team?q=%20t_ol%20":                    "3 [Tool@a/b Tool@1.1 Tool@v1.0]",
		"team?q=l%25b":                         "1 [lib@1]",
		"team?q=none":                          "0 []",
		"team?q=" + strings.Repeat("%25", 900): "4 [Tool@a/b Tool@1.1 lib@1 Tool@v1.0]",
		"team?q=" + strings.Repeat("x", 900):   "0 []",
		"team?type=npm":                        "0 []",
		"team?limit=2&page=2":                  "4 [lib@1 Tool@v1.0]",
		"team/generic/TOOL":                    "3 [Tool@a/b Tool@1.1 Tool@v1.0]",
		"team/generic/tool/?limit=1&page=3":    "3 [Tool@v1.0]",
		"nobody":                               "0 []",
	} {
		if got := names(jsonAPI + path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	latest := s.one(http.StatusOK, http.MethodGet, jsonAPI+"team/generic/tool/-/latest", "")
	version := s.one(http.StatusOK, http.MethodGet, jsonAPI+"TEAM/generic/tool/v1.0", "bob")
	if latest.Version != "a/b" || version.Version != "v1.0" || version.Creator.Username != "alice" || version.Owner.Login != "Team" || version.ID >= latest.ID {
		t.Errorf("the latest is %+v, and v1.0 is %+v", latest, version)
	}
	if want := fmt.Sprintf("http://127.0.0.1:%d%s/", s.port, versionPath("Team", "Tool", "a%2Fb")); latest.HTMLURL != want {
		t.Errorf("html_url is %s, want %s", latest.HTMLURL, want)
	}
	if age := time.Since(version.Created); age < 0 || age > time.Hour {
		t.Errorf("v1.0 was created at %v", version.Created)
	}
	files, _ := s.list(jsonAPI+"team/generic/tool/v1.0/files", "")
	for i, path := range []string{filePath("team", "tool", "V1.0", "a.bin"), filePath("Team", "Tool", "v1.0", "b.bin")} {
		if len(files) != 2 || files[i].Size != int64(len(path)) || files[i].SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(path))) {
			t.Fatalf("the files are %+v", files)
		}
	}
	s.want(http.StatusNoContent, http.MethodDelete, jsonAPI+"team/generic/tool/1.1", "bob", nil)
	s.one(http.StatusNotFound, http.MethodGet, jsonAPI+"team/generic/tool/1.1", "")
	s.want(http.StatusNotFound, http.MethodGet, filePath("team", "tool", "1.1", "f"), "", nil)
	s.want(http.StatusNoContent, http.MethodDelete, jsonAPI+"team/generic/TOOL", "alice", nil)
	s.one(http.StatusNotFound, http.MethodDelete, jsonAPI+"team/generic/tool", "alice")
	s.one(http.StatusNotFound, http.MethodGet, jsonAPI+"team/generic/tool/-/latest", "")
	if got := names(jsonAPI + "team"); got != "1 [lib@1]" {
		t.Errorf("after the package was deleted there is %s", got)
	}
	s.put(filePath("team", "tool", "1.1", "f"), []byte("anew"))
}

// TestJSONAPIRefuses: errors are JSON, whatever is asked below the API's paths, and bad
// parameters are defaults.
func TestJSONAPIRefuses(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	for _, test := range []struct {
		method, path string
		status       int
		message      string
	}{
		{"GET", "", 404, "not found"},
		{"GET", "alice/generic", 404, "not found"},
		{"GET", "alice/generic/p/1/f", 404, "not found"},
		{"GET", "alice/generic/p/1/files/f", 404, "not found"},
		{"POST", "alice/generic/p/-/link/repo", 404, "not found"},
		{"POST", "alice/generic/p/-/unlink", 404, "not found"},
		{"GET", "alice/npm/p", 404, "package does not exist"},
		{"GET", "alice/Generic/p/1", 404, "package does not exist"},
		{"DELETE", "alice/npm/p/1", 404, "package does not exist"},
		{"GET", "alice/generic/p/2/files", 404, "package does not exist"},
		{"GET", "alice/generic/p/-", 404, "package does not exist"},
		{"GET", "alice/generic/%00", 400, "unsafe path"},
		{"GET", "alice/generic/../p", 400, "unsafe path"},
		{"GET", "alice/generic/p/%2e%2e", 400, "unsafe path"},
		{"GET", "%20alice", 400, "invalid owner name"},
		{"POST", "alice", 405, "method not allowed"},
		{"PUT", "alice/generic/p/1", 405, "method not allowed"},
		{"OPTIONS", "alice/generic/p/1/files", 405, "method not allowed"},
		{"DELETE", "alice", 405, "method not allowed"},
	} {
		got := s.one(test.status, test.method, jsonAPI+test.path, "alice")
		if !strings.HasPrefix(got.Message, test.message) || got.URL != fmt.Sprintf("http://127.0.0.1:%d/api/packages/-/openapi.json", s.port) {
			t.Errorf("%s %s: %+v, want %q", test.method, test.path, got, test.message)
		}
	}
	for _, query := range []string{
		"page=0", "page=-1", "page=1.5", "page=99999999999999999999", "page=x", "page=", "page=1&page=7", "limit=0", "limit=-9", "limit=1e3", "limit=99999999999999999999",
		"sort=name", "sort=%00", "order=x", "cursor=%ff", "after=%2e%2e", "q=", "q=%25%25", "type=", "type=generic&type=npm", "a;b", "%zz=1", "%zz", "q=%ff", "&&&", "=",
	} {
		got := s.want(http.StatusOK, http.MethodGet, jsonAPI+"alice?"+query, "", nil)
		if want := `"name":"p","version":"1"`; query != "q=%ff" && !strings.Contains(got.text(), want) {
			t.Errorf("?%s: %s", query, got.text())
		}
	}
	for _, page := range []string{"9223372036854775807", "307445734561825861", "2"} {
		if got := s.want(http.StatusOK, http.MethodGet, jsonAPI+"alice?page="+page, "", nil); got.text() != "[]" {
			t.Errorf("page %s is %s", page, got.text())
		}
	}
	s.wantBytes(filePath("alice", "p", "1", "f"), []byte("x"))
}

// TestJSONAPITellsNothingPrivate: neither statuses nor bodies, totals nor links tell what
// somebody may not read.
func TestJSONAPITellsNothingPrivate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite(
		"owner closed {", "\tread alice", "\twrite alice", "}", "owner empty {", "\tread alice", "}",
		"owner mixed {", "\twrite alice", "\tpackage secret-* {", "\t\tread alice", "\t}", "}",
		"owner opened {", "\tread alice", "\twrite alice", "\tpackage demo {", "\t\tread *", "\t}", "}"))
	for _, owner := range []string{"closed", "mixed", "opened"} {
		for version := range 40 {
			s.put(filePath(owner, "secret-plan", fmt.Sprint(version), "f"), []byte("x"))
		}
		s.put(filePath(owner, "demo", "1", "f"), []byte("x"))
	}
	told := func(path, user string) string {
		t.Helper()
		got := s.do(http.MethodGet, jsonAPI+path, user, nil)
		got.header.Del("Date")
		return fmt.Sprint(got.status, got.header, got.text())
	}
	for _, user := range []string{"", "bob"} {
		for _, pair := range [][2]string{
			{"closed", "empty"}, {"closed?q=secret", "empty?q=secret"}, {"closed/generic/secret-plan", "closed/generic/secret-none"},
			{"closed/generic/secret-plan/1", "empty/generic/secret-plan/1"}, {"closed/generic/secret-plan/1/files", "closed/generic/secret-plan/99/files"},
			{"closed/generic/secret-plan/-/latest", "closed/generic/secret-none/-/latest"},
			{"mixed/generic/secret-plan", "mixed/generic/secret-none"}, {"mixed/generic/secret-plan/-/latest", "mixed/generic/secret-none/-/latest"},
			{"opened/generic/secret-plan/1", "opened/generic/none/1"}, {"mixed?q=secret", "mixed?q=none"},
		} {
			if got, want := told(pair[0], user), strings.ReplaceAll(told(pair[1], user), "none", "secret"); strings.ReplaceAll(got, "none", "secret") != want {
				t.Errorf("as %q, %s: %s, and %s: %s", user, pair[0], got, pair[1], want)
			}
		}
		for _, owner := range []string{"mixed", "opened"} {
			if found, total := s.list(jsonAPI+owner+"?limit=1", user); total != "1" || fmt.Sprint(found) != "[demo@1]" {
				t.Errorf("as %q, %s has %s versions, %v", user, owner, total, found)
			}
		}
	}
	if _, total := s.list(jsonAPI+"mixed", "alice"); total != "41" {
		t.Errorf("alice sees %s versions", total)
	}
	s.one(http.StatusForbidden, http.MethodDelete, jsonAPI+"closed/generic/secret-plan", "bob")
	s.one(http.StatusUnauthorized, http.MethodDelete, jsonAPI+"closed/generic/secret-none/1", "")
	narrow := authorization("token " + s.token("--name", "narrow", "--user", "alice", "--scope", "read", "--owner", "mixed,closed", "--package", "d*"))
	if got := s.want(http.StatusOK, http.MethodGet, jsonAPI+"mixed", "", nil, narrow); got.header.Get("X-Total-Count") != "1" || strings.Contains(got.text(), "secret") {
		t.Errorf("a token for d* sees %s", got.text())
	}
	s.want(http.StatusForbidden, http.MethodGet, jsonAPI+"opened", "", nil, narrow)
	s.want(http.StatusForbidden, http.MethodDelete, jsonAPI+"mixed/generic/demo", "", nil, narrow)
}

// TestWhereTheJSONAPIIs: beside which prefixes, and who answers for the rest.
func TestWhereTheJSONAPIIs(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "behind") }))
	t.Cleanup(other.Close)
	behind := "reverse_proxy " + other.URL
	for _, test := range []struct {
		name, settings, before, behind string
		want                           map[string]string
	}{
		{"the default prefix", "", "", "", map[string]string{
			"/api/v1/version": `200 {"version":"1.26.0"}`, "/api/v1/version/": `200 {"version":"1.26.0"}`, "/api/v1/packages/none": "200 []", "/api/v1/version/x": "404 not found",
			"/api/v1/other": "404 not found: packages are under /api/packages/", "/api/v1/user": "401 authentication required", "/api/v1": "404 not found: packages are under /api/packages/"}},
		{"somebody behind it", "", "", behind, map[string]string{
			"/api/v1/version": "200 behind", "/api/v1/user": "200 behind", "/api/v1/packages/none": "200 []", "/api/v1/packages": "404 not found", "/api/v1/repos/a/b": "200 behind"}},
		{"a prefix that ends as Gitea's", "prefix /mine/api/packages", "", "", map[string]string{
			"/mine/api/v1/packages/none": "200 []", "/mine/api/v1/version": `200 {"version":"1.26.0"}`, "/api/v1/version": "404 not found: packages are under /mine/api/packages/"}},
		{"another prefix", "prefix /registry", "", "", map[string]string{
			"/api/v1/packages/none": "404 not found: packages are under /registry/", "/v1/packages/none": "404 not found: packages are under /registry/"}},
		{"another prefix and a path", "prefix /registry\n\t\tapi /the%20api", "", "", map[string]string{
			"/the%20api/packages/none": "200 []", "/the%20api/version": `200 {"version":"1.26.0"}`, "/api/v1/version": "404 not found: packages are under /registry/"}},
		{"it is off", "api off", "", behind, map[string]string{"/api/v1/packages/none": "200 behind", "/api/v1/version": "200 behind"}},
		{"a part of the path is stripped", "", "uri strip_prefix /registry", "", map[string]string{"/registry/api/v1/packages/none": "200 []"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			site := strings.Replace(s.site(test.settings), "\tgeneric_registry {", "\t"+test.before+"\n\tgeneric_registry {", 1)
			s.start(strings.TrimSuffix(site, "}\n") + "\t" + test.behind + "\n}\n")
			for path, want := range test.want {
				got := s.do(http.MethodGet, path, "", nil)
				var refused asked
				if json.Unmarshal(got.body, &refused) == nil && refused.Message != "" {
					got.body = []byte(refused.Message)
				}
				if told := fmt.Sprint(got.status, " ", got.text()); told != want {
					t.Errorf("%s: %s, want %s", path, told, want)
				}
			}
		})
	}
}

// TestJSONAPIKnowsWhoAsks as tools of Gitea do.
func TestJSONAPIKnowsWhoAsks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	token := s.token("--name", "ci", "--user", "ci", "--scope", "read")
	for name, headers := range map[string][]header{"alice": {authorization(basic("alice", password))}, "ci": {authorization("token " + token)}} {
		got := s.want(http.StatusOK, http.MethodGet, "/api/v1/user", "", nil, headers...)
		if !bytes.Contains(got.body, []byte(`"login":"`+name+`"`)) {
			t.Errorf("%s is %s", name, got.text())
		}
	}
	got := s.want(http.StatusUnauthorized, http.MethodGet, "/api/v1/user", "", nil)
	if got.header.Get("WWW-Authenticate") == "" {
		t.Error("a 401 without WWW-Authenticate")
	}
	s.want(http.StatusMethodNotAllowed, http.MethodDelete, "/api/v1/user", "alice", nil)
}
