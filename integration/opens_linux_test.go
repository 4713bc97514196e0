package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// opened returns the blobs that were opened.
func (f *tracer) opened(root string) (names []string) {
	f.Helper()
	for _, c := range f.calls() {
		if c.name == "openat" && strings.Contains(c.arguments, filepath.Join(root, "blobs")+"/") {
			names = append(names, c.arguments)
		}
	}
	return names
}

// TestOnlyAnswersWithBytesOpenFiles: HEAD and what a condition or a range refuses is
// answered without opening the file. What lacks its bytes is found by the first GET
// that wants them, and HEAD says so from then on.
func TestOnlyAnswersWithBytesOpenFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.faults = []string{"request failed", "blob is damaged"}
	s.start(s.site("scrub off"))
	path := filePath("alice", "p", "1", "f")
	tag := s.put(path, pattern(1, 100_000)).header.Get("ETag")
	requests := []struct {
		name, method string
		headers      []header
		status       int
		opens        int
	}{
		{"all of the file", http.MethodGet, nil, 200, 1},
		{"a range", http.MethodGet, []header{{"Range", "bytes=5-9"}}, 206, 1},
		{"the head", http.MethodHead, nil, 200, 0},
		{"the head of a range", http.MethodHead, []header{{"Range", "bytes=5-9"}}, 206, 0},
		{"what is known", http.MethodGet, []header{{"If-None-Match", tag}}, 304, 0},
		{"another file", http.MethodGet, []header{{"If-Match", `"other"`}}, 412, 0},
		{"behind the end", http.MethodGet, []header{{"Range", "bytes=100000-"}}, 416, 0},
	}
	for _, test := range requests {
		tracer := s.trace("openat")
		s.want(test.status, test.method, path, "alice", nil, test.headers...)
		tracer.detach()
		if opened := tracer.opened(s.root); len(opened) != test.opens {
			t.Errorf("%s: opened %d files, want %d: %v", test.name, len(opened), test.opens, opened)
		}
	}
	files, _ := s.blobs()
	if len(files) != 1 {
		t.Fatalf("the blobs are %v", files)
	}
	files[0].remove(t)
	s.want(http.StatusOK, http.MethodHead, path, "alice", nil)
	s.want(http.StatusInternalServerError, http.MethodGet, path, "alice", nil)
	s.want(http.StatusInternalServerError, http.MethodHead, path, "alice", nil)
}
