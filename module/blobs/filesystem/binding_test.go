package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestABindingThatFailedIsNotThere: one whose name may be lost would let another
// metadata store have the blobs after a power cut.
func TestABindingThatFailedIsNotThere(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(o *steps)
	}{
		{"write", faultyCreate(faultyFile{write: syscall.ENOSPC})},
		{"sync", faultyCreate(faultyFile{sync: syscall.ENOSPC})},
		{"rename", func(o *steps) { o.rename = func(string, string) error { return syscall.ENOSPC } }},
		{"sync of the store's directory", func(o *steps) { o.syncDirectory = func(string) error { return syscall.ENOSPC } }},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			s := openStore(t, path, 1, test.change)
			if err := s.Bind(t.Context(), "one"); !errors.Is(err, store.ErrNoSpace) {
				t.Errorf("error is %v", err)
			}
			if _, err := os.Stat(filepath.Join(s.path, bindingFile)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the binding is there: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := openStore(t, path, 1, nil).Bind(t.Context(), "another"); err != nil {
				t.Errorf("binding later: %v", err)
			}
		})
	}
}

// TestABindingThatCannotBeRemoved says so, besides why it failed.
func TestABindingThatCannotBeRemoved(t *testing.T) {
	s := newStore(t, 1, func(o *steps) {
		remove := o.remove
		o.remove = func(name string) error {
			if filepath.Base(name) == bindingFile {
				return fs.ErrPermission
			}
			return remove(name)
		}
		o.syncDirectory = func(string) error { return errDisk }
	})
	if err := s.Bind(t.Context(), "one"); !errors.Is(err, errDisk) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}
