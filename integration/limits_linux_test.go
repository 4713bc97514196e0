package integration

import (
	"fmt"
	"syscall"
	"testing"
)

// TestAnnouncedUploadsTakeNoPlace: an upload without a byte has no slot and no file, and an
// upload that announces nearly the whole disk leaves the space to others.
// Seen to fail with files that are made before the first byte.
func TestAnnouncedUploadsTakeNoPlace(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_uploads 2", "max_user_uploads 2")
	free := s.free()
	for i := range 4 {
		s.announce(filePath("bob", "p", fmt.Sprint(i), "f"), "bob", free-1<<30, nil)
	}
	s.announce(filePath("bob", "p", "byte", "f"), "bob", free-1<<30, []byte("x"))
	s.eventually("one of the uploads has a byte", func() bool { return s.metric("uploads") == 1 })
	if _, uploads := s.blobs(); len(uploads) > 1 {
		t.Errorf("%d uploads have files, want 1 at most", len(uploads))
	}
	s.put(filePath("alice", "p", "1", "f"), pattern(1, 1<<20))
	if now := s.free(); now < free-free/4 {
		t.Errorf("%d bytes are free, of %d before", now, free)
	}
}

// free is the free space of the registry's disk.
func (s *server) free() int64 {
	s.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &disk); err != nil {
		s.Fatal(err)
	}
	return int64(disk.Bavail) * disk.Bsize
}
