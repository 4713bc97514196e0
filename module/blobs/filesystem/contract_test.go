package filesystem

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

var discard = slog.New(slog.DiscardHandler)

func TestContract(t *testing.T) {
	storetest.Blobs(t, func(t testing.TB) func() (registry.BlobStore, error) {
		backend, root := Backend{Reserve: 1 << 20}, t.TempDir()
		return func() (registry.BlobStore, error) { return backend.OpenBlobs(t.Context(), root, discard) }
	})
}

// TestFaults has metadata in memory, which no fault reaches. The mark of the
// directory's format is there from the start: it does not go through the FS.
func TestFaults(t *testing.T) {
	mark := []byte(layout + " 1\n")
	storetest.Faults(t, storetest.FaultPlace{
		In: func(root string) func(disk.FS) (registry.MetadataStore, registry.BlobStore, error) {
			place := memory.NewMetadata()
			return func(fsys disk.FS) (registry.MetadataStore, registry.BlobStore, error) {
				if err := os.WriteFile(filepath.Join(root, "FORMAT"), mark, disk.FilePermissions); err != nil {
					return nil, nil, err
				}
				blobs, err := Open(root, 1, discard, fsys)
				if err != nil {
					return nil, nil, err
				}
				metadata, err := place.Open()
				if err != nil {
					return nil, nil, errors.Join(err, blobs.Close())
				}
				return metadata, blobs, nil
			}
		},
		Uploads:    temporaryDirectory,
		Quarantine: quarantineDirectory,
	})
}
