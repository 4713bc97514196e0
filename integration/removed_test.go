package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesRemovedUnderAServer are noticed, whichever they are: changes are refused and
// reads go on until they are back, no other process gets the store, and what was
// acknowledged survives the end of the process.
func TestFilesRemovedUnderAServer(t *testing.T) {
	t.Parallel()
	for name, patterns := range map[string][]string{
		"the locks":   {"metadata/.lock", "blobs/.lock"},
		"the journal": {"metadata/journal/*.jsonl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			s.faults = []string{"files were removed or replaced under the store"}
			content, path := []byte("kept"), filePath("alice", "p", "1", "f")
			s.put(path, content)
			back := s.moveAway(patterns...)
			var uploads int
			var other string
			upload := func() int {
				uploads++
				other = filePath("alice", "p", "1", fmt.Sprint("g", uploads))
				got, err := s.try(http.MethodPut, other, "alice", bytes.NewReader(content))
				if err != nil {
					t.Fatal(err)
				}
				return got.status
			}
			s.eventually("uploads are refused", func() bool { return upload() == http.StatusServiceUnavailable })
			if status, is := s.health(); status != http.StatusServiceUnavailable || is.Ready || len(is.Problems) == 0 {
				t.Errorf("health is %d %+v", status, is)
			}
			s.wantBytes(path, content)
			second := newServer(t)
			second.root = s.root
			second.launch(second.site())
			if err := second.ended(); err == nil || !strings.Contains(second.logText(), "in use by another process") {
				t.Errorf("a second process ended with %v:\n%s", err, second.logTail())
			}
			back()
			s.eventually("uploads are taken", func() bool { return upload() == http.StatusCreated })
			s.kill()
			s.start(s.site())
			s.wantBytes(path, content)
			s.wantBytes(other, content)
			if aside, err := filepath.Glob(filepath.Join(s.root, "metadata", "damaged-*")); err != nil || len(aside) > 0 {
				t.Errorf("put aside: %v, %v", aside, err)
			}
		})
	}
}

// TestBlobsThatAreNotMounted: when the directory of the blobs is empty at a start, as when its
// file system is not mounted, nothing is published into it, and no file is taken for lost.
// The registry goes on when the directory is there again.
// Seen to fail with metadata that takes any blobs.
func TestBlobsThatAreNotMounted(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content, path := []byte("kept"), filePath("alice", "p", "1", "f")
	s.put(path, content)
	s.kill()
	blobs := filepath.Join(s.root, "blobs")
	if err := os.Rename(blobs, blobs+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	s.faults = []string{"mount those"}
	s.start(s.site())
	for method, path := range map[string]string{http.MethodGet: path, http.MethodPut: filePath("alice", "p", "1", "g")} {
		got, err := s.try(method, path, "alice", strings.NewReader("new"))
		if err != nil || got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %d, %v, want 503", method, got.status, err)
		}
	}
	if _, is := s.health(); is.Ready || len(is.Problems) == 0 || !strings.Contains(strings.Join(is.Problems, " "), "mount those") {
		t.Errorf("health is %+v, want a problem that says what to do", is)
	}
	if err := errors.Join(os.RemoveAll(blobs), os.Rename(blobs+"-elsewhere", blobs)); err != nil {
		t.Fatal(err)
	}
	s.eventually("the registry is open", func() bool { _, is := s.health(); return is.Ready })
	s.wantBytes(path, content)
	if _, is := s.health(); is.Damaged.Count != 0 {
		t.Errorf("%d damaged blobs, want none", is.Damaged.Count)
	}
}

// moveAway moves files of the registry elsewhere, and returns what moves them back.
func (s *server) moveAway(patterns ...string) (back func()) {
	s.Helper()
	moved := make(map[string]string)
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(s.root, pattern))
		if err != nil || len(found) != 1 {
			s.Fatalf("%s: %v, %v", pattern, found, err)
		}
		moved[found[0]] = filepath.Join(s.TempDir(), "moved")
	}
	for from, to := range moved {
		if err := os.Rename(from, to); err != nil {
			s.Fatal(err)
		}
	}
	return func() {
		s.Helper()
		for from, to := range moved {
			if err := os.Rename(to, from); err != nil {
				s.Fatal(err)
			}
		}
	}
}
