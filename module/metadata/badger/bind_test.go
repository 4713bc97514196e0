package badger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestTheMetadataKnowsItsBlobs again after a restart, and on a file system that takes no
// writes. Other blobs are a state, which passes when the right ones are mounted.
// Seen to fail with metadata that takes any blobs.
func TestTheMetadataKnowsItsBlobs(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root)
	if err := s.BindBlobs(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	for name, open := range map[string]func(*testing.T) *Store{
		"opened":           func(t *testing.T) *Store { return mustOpen(t, root) },
		"opened read-only": func(t *testing.T) *Store { return openReadOnly(t, root) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			defer mustClose(t, s)
			if err := s.BindBlobs(t.Context(), "first"); err != nil {
				t.Errorf("its own blobs: got %v, want no error", err)
			}
			if err := s.BindBlobs(t.Context(), "second"); !errors.Is(err, store.ErrMismatch) || !store.IsState(err) {
				t.Errorf("other blobs: got %v, want %v as a state", err, store.ErrMismatch)
			}
		})
	}
	if err := os.Remove(filepath.Join(root, "metadata", blobsFile)); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, root)
	defer mustClose(t, s)
	if err := s.BindBlobs(t.Context(), "second"); err != nil {
		t.Errorf("other blobs, after the first are given up: got %v, want no error", err)
	}
}
