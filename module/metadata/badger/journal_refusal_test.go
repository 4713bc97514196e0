package badger

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// unwritableDisk takes no write to the journal while it says why.
type unwritableDisk struct {
	disk.OS
	why atomic.Pointer[syscall.Errno]
}

func (d *unwritableDisk) Edit(name string) (disk.File, error) {
	file, err := d.OS.Edit(name)
	if strings.Contains(filepath.Base(name), ".jsonl") {
		file = unwritableFile{file, d}
	}
	return file, err
}

type unwritableFile struct {
	disk.File
	disk *unwritableDisk
}

func (f unwritableFile) WriteAt(p []byte, at int64) (int, error) {
	if why := f.disk.why.Load(); why != nil {
		return 0, *why
	}
	return f.File.WriteAt(p, at)
}

// TestAJournalThatTakesNoWriteIsAState: the change did not happen, and may be tried again. Seen
// to fail with a disk's error as it is, which a client hears of as a fault of the server.
func TestAJournalThatTakesNoWriteIsAState(t *testing.T) {
	for name, test := range map[string]struct {
		why  syscall.Errno
		want error
	}{
		"the disk fails":                 {syscall.EIO, store.ErrUnavailable},
		"the disk was made read-only":    {syscall.EROFS, store.ErrUnavailable},
		"the permissions are gone":       {syscall.EACCES, store.ErrUnavailable},
		"the process has no descriptors": {syscall.EMFILE, store.ErrUnavailable},
		"the system has no memory":       {syscall.ENOMEM, store.ErrUnavailable},
		"the disk is full":               {syscall.ENOSPC, store.ErrNoSpace},
		"the quota is spent":             {syscall.EDQUOT, store.ErrNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := &unwritableDisk{}
			s, err := openTuned(filepath.Join(t.TempDir(), "metadata"), discard, fsys, func(*home) {})
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, s)
			fsys.why.Store(&test.why)
			if err := publishNumbered(s, "o", 1); !errors.Is(err, test.want) {
				t.Errorf("publishing: got %v, want %v", err, test.want)
			}
			fsys.why.Store(nil)
			if err := publishNumbered(s, "o", 1); err != nil {
				t.Errorf("publishing again afterwards: %v", err)
			}
		})
	}
}
