package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAServerWithoutDescriptorsRefusesUploads: a process with hardly any free descriptors refuses uploads,
// and says so. Downloads and deletes go on, and so does another site.
// Seen to fail with uploads that are not asked whether there are descriptors.
func TestAServerWithoutDescriptorsRefusesUploads(t *testing.T) {
	t.Parallel()
	s, other := newServer(t), freePort(t)
	s.faults = []string{"request failed"}
	s.start(s.site() + fmt.Sprintf("http://127.0.0.1:%d {\n\trespond \"another site\"\n}\n", other))
	kept, gone := filePath("alice", "p", "1", "kept"), filePath("alice", "p", "1", "gone")
	for _, path := range []string{kept, gone} {
		s.put(path, []byte("there"))
	}
	if free := s.metric("free_descriptors", `store="metadata"`); free < 32 {
		t.Fatalf("%v descriptors are free without a limit", free)
	}
	before := s.limitDescriptors(uint64(s.descriptors() + 16))
	// Where there were plenty, the registry takes them for there a few milliseconds longer.
	s.eventually("the registry knows of the limit", func() bool { return s.metric("free_descriptors", `store="metadata"`) < 32 })
	got := s.want(http.StatusServiceUnavailable, http.MethodPut, filePath("alice", "p", "1", "new"), "alice", []byte("new"))
	if got.header.Get("Retry-After") == "" || strings.Contains(got.text(), s.root) {
		t.Errorf("an upload hears %v %s", got.header, got.text())
	}
	s.wantBytes(kept, []byte("there"))
	s.want(http.StatusNoContent, http.MethodDelete, gone, "alice", nil)
	s.want(http.StatusNotFound, http.MethodGet, gone, "alice", nil)
	if got, err := s.tryAt(t.Context(), other, http.MethodGet, "/", "", nil); err != nil || got.text() != "another site" {
		t.Errorf("another site: %v, %v", got, err)
	}
	status, is := s.health()
	if status != http.StatusServiceUnavailable || is.Ready || !strings.Contains(strings.Join(is.Problems, "\n"), "descriptors") {
		t.Errorf("health is %d %+v", status, is)
	}
	if free := s.metric("free_descriptors", `store="metadata"`); free >= 32 {
		t.Errorf("the metric says that %v descriptors are free", free)
	}
	s.limitDescriptors(before)
	s.put(filePath("alice", "p", "1", "new"), []byte("new"))
}

// limitDescriptors sets how many files the process may have open, and returns how many
// it might before.
func (s *server) limitDescriptors(count uint64) (before uint64) {
	s.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(s.process.Process.Pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		s.Fatal(err)
	}
	before, limit.Cur = limit.Cur, count
	if err := unix.Prlimit(s.process.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		s.Fatal(err)
	}
	return before
}
