package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAGuardInFrontCannotBePassedBy: a site that closes a path with Caddy's own
// matcher is not opened by any other spelling of it.
func TestAGuardInFrontCannotBePassedBy(t *testing.T) {
	t.Parallel()
	settings := []string{"owner private {", "\twrite bob", "}"}
	s := startServer(t, settings...)
	const secret = "for few eyes"
	for _, version := range []string{"1", "1/x"} {
		s.want(http.StatusCreated, http.MethodPut, filePath("private", "p", strings.ReplaceAll(version, "/", "%2F"), "f"), "bob", []byte(secret))
	}
	s.eventually("one copy of the bytes is left", func() bool { committed, _ := s.blobs(); return len(committed) == 1 })
	guarded := strings.Replace(s.site(settings...), "\tgeneric_registry", "\t@private path /api/packages/private/*\n\trespond @private guarded 403\n\tgeneric_registry", 1)
	s.mustReload(guarded)
	for _, path := range []string{
		"/api/packages/private/generic/p/1/f",
		"/api/packages/PRIVATE/generic/p/1/f",
		"/api/packages/%70rivate/generic/p/1/f",
		"/api/packages/%2570rivate/generic/p/1/f",
		"//api//packages//private//generic//p//1//f",
		"/api/packages//private/generic/p/1/f/",
		"/api/packages/./private/generic/p/1/f",
		"/api/packages/x/../private/generic/p/1/f",
		"/api/packages/x/%2e%2e/private/generic/p/1/f",
		"/api/packages/x%2f..%2fprivate/generic/p/1/f",
		"/api/packages/private/../private/generic/p/1/f",
		"/api/packages/private/generic/p/1%2F..%2F..%2F..%2F..%2Fpublic/f",
		"/api/packages/private/generic/p/1%2F..%2F1/f",
		"/api/packages/private/generic/p/1%2Fx/f",
		"/x/../api/packages/private/generic/p/1/f",
		"/api/x/../packages/private/generic/p/1/f",
		"/api%2Fpackages/private/generic/p/1/f",
		"/api/packages%2Fprivate/generic/p/1/f",
		"/api/packages/private%2Fgeneric/p/1/f",
		"/api/packages/private%2Fgeneric%2Fp%2F1%2Ff",
		"/api/packages/private%5Cgeneric/p/1/f",
		"/api/packages\\private/generic/p/1/f",
		"/api/packages/private%00/generic/p/1/f",
		"/api/packages/private%20/generic/p/1/f",
		"/api/packages/private;x=y/generic/p/1/f",
		"/api/packages/%c0%afprivate/generic/p/1/f",
		"/API/PACKAGES/private/generic/p/1/f",
		"/api/packages/private/generic/../generic/p/1/f",
		"http://127.0.0.1/api/packages/private/generic/p/1/f",
		"http://127.0.0.1/api/packages/x/../private/generic/p/1/f",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			spelling := path
			if method == http.MethodPut {
				spelling = strings.TrimSuffix(path, "f") + "g"
			}
			credentials := base64.StdEncoding.EncodeToString([]byte("bob:" + password))
			got := s.exchange(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Basic %s\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
				method, spelling, s.port, credentials), []byte("x"))
			if got.status < http.StatusBadRequest && !isNextHandler(got) || strings.Contains(got.text(), secret) {
				t.Errorf("%s %s: %d %s", method, spelling, got.status, got.text())
			}
		}
	}
	s.mustReload(s.site(settings...))
	for _, version := range []string{"1", "1%2Fx"} {
		s.wantBytes(filePath("private", "p", version, "f"), []byte(secret))
	}
	if committed, _ := s.blobs(); len(committed) != 1 {
		t.Errorf("%d blobs on disk", len(committed))
	}
}

// isNextHandler tells Caddy's own answer where no handler has one.
func isNextHandler(got answer) bool {
	return got.status == http.StatusOK && len(got.body) == 0 && got.header.Get("Content-Type") == ""
}

// TestBehindOtherDirectives: a path that others cut before the registry sees it.
func TestBehindOtherDirectives(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.site(), "\tgeneric_registry {\n", "\turi strip_prefix /mirror\n\tgeneric_registry {\n", 1))
	path := "/mirror" + filePath("alice", "p", "1.0%2Brc", "f")
	created := s.put(path, []byte("x"))
	if got, ok := created.header["Location"]; ok {
		t.Errorf("Location is %q, want none: the registry does not know the path that the client asked for", got)
	}
	s.wantBytes(path, []byte("x"))
}
