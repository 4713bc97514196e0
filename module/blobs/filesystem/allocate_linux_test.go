package filesystem

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestNoBlocksStayBeyondTheEnd of a blob, on the real file system: neither of one
// that is shorter than announced nor of one that is not.
func TestNoBlocksStayBeyondTheEnd(t *testing.T) {
	s, err := Open(t.TempDir(), 1, discard, disk.OS{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, size := range map[string]int{"nothing": 0, "less": 1 << 20, "all": 8 << 20} {
		locator := store.NewLocator(1)
		w := s.mustCreate(t, 8<<20)
		if err := errors.Join(write(w, size), commit(w)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(s.path, string(locator)[:9], filepath.Base(w.(*writer).place)))
		if err != nil {
			t.Fatal(err)
		}
		blocks := info.Sys().(*syscall.Stat_t).Blocks * 512
		if info.Size() != int64(size) || blocks > int64(size)+64<<10 {
			t.Errorf("%s: %d bytes take %d", name, info.Size(), blocks)
		}
	}
}
