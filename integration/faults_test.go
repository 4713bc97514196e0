package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRefusedReloadsLeaveNothing: each reload that cannot be says why, the old
// configuration serves on with its own settings, and nothing stays open.
func TestRefusedReloadsLeaveNothing(t *testing.T) {
	t.Parallel()
	s, other := startServer(t, "max_file_size 10"), startServer(t)
	path := filePath("alice", "p", "1", "f")
	s.put(path, []byte("served on"))
	file := filepath.Join(s.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A root of its own for each fault, beside the one that is fine.
	port, third := freePort(t), freePort(t)
	beside := func(root string, settings ...string) string {
		return s.site("max_file_size 20", "blobs filesystem {", "\treserve 100PiB", "}") + s.siteAt(port, root, settings...)
	}
	foreign, newer := filepath.Join(s.dir, "foreign"), filepath.Join(s.dir, "newer")
	for name, text := range map[string]string{
		filepath.Join(foreign, "blobs", "notes.txt"): "somebody's",
		filepath.Join(newer, "metadata", "FORMAT"):   "generic_registry metadata badger 99\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goroutines, descriptors := s.goroutines(), s.descriptors()
	for _, fault := range []struct{ name, text, message string }{
		{"a file for a root", beside(file), "not a directory"},
		{"a root in a file", beside(filepath.Join(file, "below")), "not a directory"},
		{"a root of another process", beside(other.root), "in use by another process: " + filepath.Join(other.root, "blobs")},
		{"somebody's directory", beside(foreign), filepath.Join(foreign, "blobs")},
		{"the layout of a newer release", beside(newer), "version 99"},
		{"two settings of one store", s.site() + s.siteAt(port, s.root, "blobs filesystem {", "\treserve 1GiB", "}"), "different settings"},
		// Fails in Caddy's own app, before or after the store has the new settings.
		{"an address of another machine", strings.Replace(beside(s.root+"-2"), fmt.Sprintf("http://127.0.0.1:%d {\n", port),
			fmt.Sprintf("http://127.0.0.1:%d {\n\tbind 203.0.113.1\n", port), 1), "cannot assign requested address"},
		{"a directory of two stores", beside(s.root+"-2", "blobs filesystem {", "\tdir "+filepath.Join(s.root, "blobs"), "}"), "belong together"},
		{"two scrubs of one store", s.site("scrub off") + s.siteAt(port, s.root), "different settings"},
		{"health within the API", beside(s.root+"-2", "health /api/packages/health"), "under the prefix"},
		{"an owner with two rules", s.site("owner a {", "\tread *", "}", "owner A {", "\tread *", "}"), "owner"},
	} {
		for range 3 {
			err := s.reload(fault.text)
			if err == nil || !strings.Contains(err.Error(), fault.message) {
				t.Errorf("%s: error is %v, want %q", fault.name, err, fault.message)
			}
		}
		s.settle()
		s.want(http.StatusRequestEntityTooLarge, http.MethodPut, filePath("alice", "p", "1", "large"), "alice", pattern(1, 11))
		s.wantBytes(path, []byte("served on"))
		again := filePath("alice", "p", "2", "f")
		s.put(again, []byte("room")) // the reserve is the old one
		s.want(http.StatusNoContent, http.MethodDelete, again, "alice", nil)
	}
	s.client.CloseIdleConnections()
	s.eventually("goroutines and descriptors are back", func() bool {
		return s.goroutines() <= goroutines+3 && s.descriptors() <= descriptors+3
	})

	// What was wrong is put right, and nothing of the refused reloads is in its way.
	other.put(path, []byte("of the other"))
	other.signal(syscall.SIGTERM)
	if err := other.ended(); err != nil {
		t.Errorf("the other process: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.mustReload(s.site() + s.siteAt(port, other.root) + s.siteAt(third, file))
	for _, at := range []int{s.port, port, third} {
		want := map[int]int{s.port: http.StatusConflict, port: http.StatusConflict, third: http.StatusCreated}[at]
		got, err := s.tryAt(t.Context(), at, http.MethodPut, path, "alice", strings.NewReader("x"))
		if err != nil || got.status != want {
			t.Errorf("at %d: %d %s, %v; want %d", at, got.status, got.text(), err, want)
		}
	}
}

// TestAFaultAtStartSaysWhatToDo: a process that cannot have its root ends at once
// and leaves what it found.
func TestAFaultAtStartSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, message string }{
		"a file for metadata":   {"metadata", "", "not a directory"},
		"somebody's files":      {"blobs/notes.txt", "somebody's", "use an empty directory"},
		"another kind of store": {"blobs/FORMAT", "generic_registry metadata badger 1\n", "this directory is not such a store"},
		"a newer release":       {"metadata/FORMAT", "generic_registry metadata badger 99\n", "use the newer release that wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			file := filepath.Join(s.root, test.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.launch(s.site())
			if err := s.ended(); err == nil {
				t.Error("the process ended well")
			}
			if log := s.logText(); !strings.Contains(log, test.message) || !strings.Contains(log, s.root) {
				t.Errorf("the log does not say %q:\n%s", test.message, log)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != test.text {
				t.Errorf("what was there is now %q, %v", text, err)
			}
		})
	}
}

// TestLostBytesAreAnErrorAndHeal: a file whose bytes are gone from the disk is
// not served as if it were whole, and publishing them again brings it back.
func TestLostBytesAreAnErrorAndHeal(t *testing.T) {
	t.Parallel()
	s := startServer(t, "scrub off") // which may find the damage first
	s.faults = []string{"request failed", "blob is damaged"}
	content := pattern(1, 5000)
	for i := range 2 {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), content)
	}
	for name, damage := range map[string]func(blob stored){
		"removed": func(blob stored) { blob.remove(t) },
		"cut":     func(blob stored) { blob.cut(t, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.eventually("one copy of the bytes is left", func() bool { committed, _ := s.blobs(); return len(committed) == 1 })
			committed, _ := s.blobs()
			damage(committed[0])
			got := s.want(http.StatusInternalServerError, http.MethodGet, filePath("alice", "p", "1", "f0"), "", nil)
			if got.text() != "internal server error" {
				t.Errorf("the answer is %q", got.text())
			}
			s.put(filePath("alice", "p", "2", name), content)
			for i := range 2 {
				s.wantBytes(filePath("alice", "p", "1", fmt.Sprint("f", i)), content)
			}
		})
	}
}
