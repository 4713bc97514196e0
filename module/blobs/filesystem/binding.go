package filesystem

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
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// bindingFile has the ID of the metadata store that names the blobs.
const bindingFile = "METADATA"

// Bind implements registry.BlobStore.
func (s *Store) Bind(ctx context.Context, metadataID string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	name := filepath.Join(s.path, bindingFile)
	bound, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return directory.Full(disk.WriteNewFile(s.fsys, name, metadataID+"\n"))
	}
	if err != nil {
		return fmt.Errorf("reading binding: %w", err)
	}
	if strings.TrimSpace(string(bound)) != metadataID {
		return fmt.Errorf("%w: the blobs in %s are of another metadata store; use that one, or an empty directory for blobs", registry.ErrMismatch, s.path)
	}
	return nil
}
