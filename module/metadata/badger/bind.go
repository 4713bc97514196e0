package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/binding"
)

// blobsFile has the ID of the blobs that the metadata names.
const blobsFile = "BLOBS"

// BindBlobs implements binding.Metadata. That other blobs are there is a state and no fault of
// the configuration: their file system may not be mounted yet.
func (s *Store) BindBlobs(_ context.Context, blobsID string) error {
	if _, err := s.current(); err != nil {
		return err
	}
	name := filepath.Join(s.path(), blobsFile)
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.readOnly:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return directory.Full(disk.WriteNewFile(s.fsys, name, blobsID+"\n"))
	case err != nil:
		return fmt.Errorf("reading the ID of the blobs: %w", err)
	case strings.TrimSpace(string(text)) != blobsID:
		return fmt.Errorf("%w: %w: the metadata in %s is of other blobs: mount those, or name their directory; if they are lost, remove the file %s to begin without them",
			store.ErrUnavailable, store.ErrMismatch, s.path(), name)
	}
	return nil
}

var _ binding.Metadata = (*Store)(nil)
