package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// combination is a Caddyfile with the registry and something else.
type combination struct {
	name    string
	options string // global ones
	site    string // instead of the bare directive; REGISTRY stands for its block
	prefix  string // of the paths of files, where it is another one
	// check tries what the other directive does. Nil when the registry alone is tried.
	check func(t *testing.T, s *server)
}

// wantText wants a status and a part of the body of an answer to a GET as nobody.
func wantText(path string, status int, part string, headers ...header) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		t.Helper()
		got := s.do(http.MethodGet, path, "", nil, headers...)
		if got.status != status || !strings.Contains(got.text(), part) {
			t.Errorf("GET %s with %v: %d %q, want %d and %q", path, headers, got.status, got.text(), status, part)
		}
	}
}

// each runs several checks.
func each(checks ...func(*testing.T, *server)) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		t.Helper()
		for _, check := range checks {
			check(t, s)
		}
	}
}

// combinations are those of the directives and options of stock Caddy that meet the requests
// of a registry.
func combinations(s *server, upstream string) []combination {
	page := filepath.Join(s.dir, "www")
	return []combination{
		{name: "nothing else", site: "REGISTRY"},
		{name: "reverse_proxy", site: "REGISTRY\nreverse_proxy " + upstream, check: wantText("/else", 200, "upstream GET /else")},
		{name: "file_server", site: "REGISTRY\nroot " + page + "\nfile_server browse", check: each(wantText("/page.html", 200, "a page"), wantText("/absent", 404, ""))},
		{name: "templates and encode", site: "REGISTRY\nencode zstd gzip\nroot " + page + "\ntemplates\nfile_server", check: func(t *testing.T, s *server) {
			wantText("/page.html", 200, "a page of GET")(t, s)
			text := []byte(strings.Repeat("{{ not a template }} ", 1000))
			s.put(filePath("alice", "templates", "1", "f.html"), text)
			got := s.do(http.MethodGet, filePath("alice", "templates", "1", "f.html"), "", nil, header{"Accept-Encoding", "gzip, zstd"})
			if string(got.body) != string(text) || got.header.Get("Content-Encoding") != "" {
				t.Errorf("a file is changed: %d bytes of %d, %v", len(got.body), len(text), got.header)
			}
			s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "templates", "1", "f.html"), "alice", nil)
		}},
		{name: "log, log_append, log_name and log_skip", site: "REGISTRY\nlog\nlog_append owner {http.generic_registry.owner}\n@health path /health\nlog_skip @health"},
		{name: "handle beside other sites' paths", site: "@registry path /api/packages/* /api/v1/*\nhandle @registry {\nREGISTRY\n}\nhandle {\nrespond \"the site\"\n}",
			check: each(wantText("/", 200, "the site"), wantText("/api/v1/version", 200, "1.26.0"))},
		{name: "handle_path", site: "handle_path /files/* {\nREGISTRY\n}", prefix: "/files", check: wantText("/absent", 200, "")},
		{name: "rewrite", site: "REGISTRY\n@short path_regexp short ^/get/(.+)$\nrewrite @short /api/packages/alice/generic/{re.short.1}", check: func(t *testing.T, s *server) {
			s.put(filePath("alice", "short", "1", "f"), []byte("rewritten"))
			wantText("/get/short/1/f", 200, "rewritten")(t, s)
			s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "short", "1", "f"), "alice", nil)
		}},
		{name: "uri", site: "uri strip_prefix /mirror\nREGISTRY", prefix: "/mirror/api/packages"},
		{name: "redir", site: "redir /latest /api/packages/alice/generic/tool/latest/f 302\nREGISTRY", check: func(t *testing.T, s *server) {
			s.put(filePath("alice", "tool", "1.0.0", "f"), []byte("the newest"))
			wantText("/latest", 200, "the newest")(t, s)
			s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "tool", "1.0.0", "f"), "alice", nil)
		}},
		{name: "request_body", site: "request_body {\nmax_size 10kB\n}\nREGISTRY", check: func(t *testing.T, s *server) {
			s.want(http.StatusRequestEntityTooLarge, http.MethodPut, filePath("alice", "p", "1", "large"), "alice", pattern(1, 20_000))
		}},
		{name: "a refusal by a header matcher", site: "@limited header X-Rate over\nrespond @limited \"slower\" 429\nREGISTRY", check: wantText("/api/packages/alice/generic/p/1/f", 429, "slower", header{"X-Rate", "over"})},
		{name: "forward_auth", site: "forward_auth " + upstream + " {\nuri /portal\n}\nREGISTRY", check: func(t *testing.T, s *server) {
			wantText("/api/packages/alice/generic/p/1/absent", 403, "the portal", header{"X-Portal", "shut"})(t, s)
		}},
		{name: "header, and one with a placeholder", site: "header X-Of site\nheader >X-Owner {http.generic_registry.owner}\nREGISTRY", check: func(t *testing.T, s *server) {
			got := s.do(http.MethodGet, filePath("alice", "p", "1", "absent"), "", nil)
			if got.header.Get("X-Of") != "site" || got.header.Get("X-Owner") != "alice" {
				t.Errorf("the header is %v", got.header)
			}
		}},
		{name: "handle_errors", site: "REGISTRY\nerror /teapot 418\nhandle_errors {\nrespond \"styled {err.status_code}\"\n}",
			check: each(wantText("/teapot", 418, "styled 418"), wantText("/api/packages/alice/generic/p/1/absent", 404, "package does not exist"))},
		{name: "handle_errors with errors route", site: strings.Replace("REGISTRY\nhandle_errors {\nheader X-Styled yes\nheader Content-Security-Policy \"img-src *\"\nheader X-Result \"{http.generic_registry.owner}: {http.generic_registry.result}\"\nrespond \"styled {err.status_code}: {err.message}\" 200\n}", "REGISTRY", "generic_registry {\nroot ROOT\nbrowse\nerrors route\n}", 1), check: wantStyled},
		{name: "handle_errors that only has some statuses", site: strings.Replace("REGISTRY\nhandle_errors 5xx {\nrespond \"styled\"\n}", "REGISTRY", "generic_registry {\nroot ROOT\nerrors route\n}", 1),
			check: wantText("/api/packages/alice/generic/p/1/absent", 404, "package does not exist")},
		{name: "intercept", site: "intercept {\n@gone status 404\nhandle_response @gone {\nrespond \"intercepted\" 404\n}\n}\nREGISTRY", check: wantText("/api/packages/alice/generic/p/1/absent", 404, "intercepted")},
		{name: "map and vars", site: "map {path} {kind} {\n~^/api/ api\ndefault other\n}\nvars color blue\nheader X-Kind {kind}\nREGISTRY", check: func(t *testing.T, s *server) {
			if got := s.do(http.MethodGet, filePath("alice", "p", "1", "absent"), "", nil); got.header.Get("X-Kind") != "api" {
				t.Errorf("the header is %v", got.header)
			}
		}},
		{name: "route, method and try_files", site: "route {\n@old method PATCH\nmethod @old PUT\nREGISTRY\nroot " + page + "\ntry_files {path} /page.html\nfile_server\n}", check: wantText("/anything", 200, "a page")},
		{name: "invoke and import of snippets", options: "(shared) {\nheader X-Shared yes\n}\n", site: "import shared\nREGISTRY"},
		{name: "metrics of the site", options: "metrics", site: "metrics /metrics\nREGISTRY", check: wantText("/metrics", 200, "caddy_generic_registry_ready")},
		{name: "timeouts, sizes and protocols of servers", options: "servers {\ntimeouts {\nread_header 5s\nwrite_idle 10s\nread_body 10s\nidle 1m\n}\nmax_header_size 16kB\nkeepalive_interval 5s\ntrusted_proxies static private_ranges\nclient_ip_headers X-Forwarded-For\nlog_credentials\nprotocols h1 h2c\n}", site: "REGISTRY"},
		{name: "grace_period, shutdown_delay, storage and debug", options: "grace_period 10s\nshutdown_delay 10ms\nstorage file_system " + filepath.Join(s.dir, "storage") + "\ndebug\npersist_config off\nemail ops@example.com", site: "REGISTRY"},
		{name: "order", options: "order generic_registry after basic_auth", site: "REGISTRY\nrespond \"hidden elsewhere\"", check: wantText("/other", 200, "hidden elsewhere")},
	}
}

// wantStyled wants an error route to word refusals for people, and nothing else of them to
// be another: status, challenge, header lines, and refusals for programs. Seen to fail with the
// policy of the registry's page of a folder, which forbids what the route's page has.
func wantStyled(t *testing.T, s *server) {
	t.Helper()
	path := filePath("alice", "p", "1", "absent")
	for _, test := range []struct {
		method, path, user string
		body               []byte
		status             int
		header, text       string
	}{
		{"GET", path, "", nil, 404, "", "styled 404: package does not exist"},
		{"GET", api + "alice/generic/none/", "", nil, 404, "", "styled 404: package does not exist"},
		{"PUT", path, "", pattern(1, 3_000_000), 401, "Www-Authenticate", "styled 401: authentication required"},
		{"PUT", path, "bob", nil, 403, "", "styled 403: user bob may not write in alice/p"},
		{"PATCH", path, "alice", nil, 405, "Allow", "styled 405: method not allowed"},
		{"GET", "/api/v1/packages/alice/generic/p/1", "alice", nil, 404, "", `"message"`},
	} {
		got := s.want(test.status, test.method, test.path, test.user, test.body, header{"Accept", acceptPage})
		isStyled := strings.HasPrefix(test.text, "styled")
		if !strings.Contains(got.text(), test.text) || test.header != "" && got.header.Get(test.header) == "" || isStyled != (got.header.Get("X-Styled") == "yes") {
			t.Errorf("%s %s as %q: %q with %v, want %q and %s", test.method, test.path, test.user, got.text(), got.header, test.text, test.header)
		}
		if policy := got.header.Get("Content-Security-Policy"); isStyled && policy != "img-src *" {
			t.Errorf("%s %s: the policy is %q, want that of the route", test.method, test.path, policy)
		}
		// Here placeholders have their values without Caddy's >.
		if reason, _, _ := strings.Cut(strings.TrimPrefix(test.text, "styled "+strconv.Itoa(test.status)+": "), "\n"); isStyled && got.header.Get("X-Result") != "alice: "+reason {
			t.Errorf("%s %s: the placeholders are %q, want alice and %q", test.method, test.path, got.header.Get("X-Result"), reason)
		}
	}
	if got := s.do(http.MethodHead, path, "", nil); got.status != http.StatusNotFound || len(got.body) != 0 {
		t.Errorf("HEAD: %d with %d bytes, want 404 and none", got.status, len(got.body))
	}
}

// TestErrorRoutesGetNoMarkup: an error route may write its message into HTML or a template, also
// where a publisher chose a name in it. Seen to fail with the text that other clients get.
func TestErrorRoutesGetNoMarkup(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	site := strings.TrimSuffix(s.site("errors route"), "}\n")
	s.start(site + "\thandle_errors {\n\t\theader Content-Type text/html\n\t\trespond \"<p>{err.message}</p>\"\n\t}\n}\n")
	for pkg, version := range map[string]string{"html": "1<img src=x onerror=window.ran=1>", "template": `1{{env "HOME"}}`, "plain": "1"} {
		s.put(filePath("alice", pkg, url.PathEscape(version), "f"), []byte("f"))
		want := "<p>package file does not exist</p>"
		if pkg == "plain" {
			want = "<p>package file does not exist in version 1, which latest means</p>"
		}
		if got := s.want(http.StatusNotFound, http.MethodGet, filePath("alice", pkg, "latest", "absent"), "", nil); got.text() != want {
			t.Errorf("of the version %s the page is %q, want %q", version, got.text(), want)
		}
	}
}

// TestCombinations: with each of the directives and options of stock Caddy beside it, the
// registry publishes, serves, refuses and deletes, and the other one does what it does.
func TestCombinations(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Portal") == "shut" {
			http.Error(w, "the portal is shut", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "upstream %s %s", r.Method, r.URL.Path)
	}))
	t.Cleanup(upstream.Close)
	if err := os.Mkdir(filepath.Join(s.dir, "www"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.dir, "www", "page.html"), "a page of {{.Req.Method}}\n")
	s.start(s.site())
	for i, c := range combinations(s, strings.TrimPrefix(upstream.URL, "http://")) {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)

			s.mustReload(s.combined(c))
			s.wantWhole(c.prefix, fmt.Sprint("v", i))
			if c.check != nil {
				c.check(t, s)
			}
		})
	}
}

// combined is the Caddyfile of a combination.
func (s *server) combined(c combination) string {
	block := "generic_registry {\nroot " + s.root + "\n}"
	if c.name == "handle_path" {
		block = strings.Replace(block, "{", "{\nprefix /", 1)
	}
	options, snippets := c.options, ""
	if strings.HasPrefix(options, "(") {
		options, snippets = "", options
	}
	site := strings.NewReplacer("REGISTRY", block, "ROOT", s.root).Replace(c.site)
	return strings.Replace(s.global(), "{\n", "{\n"+options+"\n", 1) + snippets + fmt.Sprintf("http://127.0.0.1:%d {\n%s%s\n}\n", s.port, basicAuth(), site)
}

// wantWhole publishes, reads, refuses and deletes a file.
func (s *server) wantWhole(prefix, version string) {
	s.Helper()
	if prefix == "" {
		prefix = "/api/packages"
	}
	path, content := prefix+"/alice/generic/combined/"+version+"/a%2Bfile", pattern(1, 5000)
	s.want(http.StatusUnauthorized, http.MethodPut, path, "", content)
	s.put(path, content)
	s.wantBytes(path, content)
	if got := s.want(http.StatusPartialContent, http.MethodGet, path, "", nil, header{"Range", "bytes=10-19"}); string(got.body) != string(content[10:20]) {
		s.Errorf("a range is %q", got.body)
	}
	s.want(http.StatusConflict, http.MethodPut, path, "alice", content)
	s.want(http.StatusForbidden, http.MethodDelete, path, "bob", nil)
	s.want(http.StatusNoContent, http.MethodDelete, path, "alice", nil)
	s.want(http.StatusNotFound, http.MethodGet, path, "", nil)
}

// TestCachesInFront: with cache public, only what is the same for everybody, and stays what
// it is, may be kept.
func TestCachesInFront(t *testing.T) {
	t.Parallel()
	const public = "public, max-age=600, no-transform"
	s := startServer(t, "cache public 10m", "browse", "owner bob {", "\tread @users", "}",
		"owner alice {", "\tpackage fixed {", "\t\timmutable", "\t}", "\tpackage moving {", "\t\ton_duplicate replace", "\t}", "}")
	file, hidden := filePath("alice", "tool", "1.0.0", "f"), filePath("bob", "tool", "1.0.0", "f")
	tag := s.put(file, []byte("cached")).header.Get("ETag")
	s.want(http.StatusCreated, http.MethodPut, hidden, "bob", []byte("not cached"))
	s.want(http.StatusCreated, http.MethodPut, filePath("alice", "tool", "2.0.0", "f")+"?draft", "alice", []byte("draft"))
	s.put(filePath("alice", "fixed", "1", "f"), []byte("fixed"))
	s.put(filePath("alice", "moving", "1", "f"), []byte("moving"))
	if got := s.want(http.StatusOK, http.MethodGet, filePath("alice", "fixed", "1", "f"), "", nil); got.header.Get("Cache-Control") != public+", immutable" {
		t.Errorf("of an immutable package: Cache-Control is %q", got.header.Get("Cache-Control"))
	}
	if tag == "" {
		tag = s.want(http.StatusOK, http.MethodGet, file, "", nil).header.Get("ETag")
	}
	for _, test := range []struct {
		name, method, path, user string
		status                   int
		isPublic                 bool
		headers                  []header
	}{
		{"a file", "GET", file, "", 200, true, nil},
		{"its head", "HEAD", file, "", 200, true, nil},
		{"a range", "GET", file, "", 206, true, []header{{"Range", "bytes=0-1"}}},
		{"that it is the same", "GET", file, "", 304, true, []header{{"If-None-Match", tag}}},
		{"that it is another one", "GET", file, "", 412, false, []header{{"If-Match", `"other"`}}},
		{"a range that it does not have", "GET", file, "", 416, false, []header{{"Range", "bytes=100-"}}},
		{"for a user", "GET", file, "alice", 200, false, nil},
		{"with a cookie", "GET", file, "", 200, false, []header{{"Cookie", "session=1"}}},
		{"what may be replaced", "GET", filePath("alice", "moving", "1", "f"), "", 200, false, nil},
		{"the newest", "GET", filePath("alice", "tool", "latest", "f"), "", 200, false, nil},
		{"of a range of versions", "GET", filePath("alice", "tool", "^1", "f"), "", 200, false, nil},
		{"checksums", "GET", filePath("alice", "tool", "1.0.0", "SHA256SUMS"), "", 200, false, nil},
		{"an archive", "GET", versionPath("alice", "tool", "1.0.0") + "?archive=tar", "", 200, false, nil},
		{"a list", "GET", versionPath("alice", "tool", "1.0.0") + "/", "", 200, false, nil},
		{"a draft", "GET", filePath("alice", "tool", "2.0.0", "f"), "alice", 200, false, nil},
		{"what is not there", "GET", filePath("alice", "tool", "1.0.0", "g"), "", 404, false, nil},
		{"what is not there, for a user", "GET", filePath("bob", "tool", "1.0.0", "g"), "alice", 404, false, nil},
		{"a method that is none here", "POST", file, "alice", 405, false, nil},
		{"a private file", "GET", hidden, "", 401, false, nil},
		{"a private file for a user", "GET", hidden, "alice", 200, false, nil},
	} {
		got := s.want(test.status, test.method, test.path, test.user, nil, test.headers...)
		// Caches keep a 404 and a 405 that say nothing. Seen to fail with refusals that say nothing.
		control := got.header.Get("Cache-Control")
		if (control == public) != test.isPublic || !test.isPublic && strings.Contains(control, "public") ||
			slices.Contains([]int{401, 404, 405}, got.status) && control != "private, no-store" {
			t.Errorf("%s (%d): Cache-Control is %q", test.name, got.status, control)
		}
	}
}
