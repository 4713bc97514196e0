package filesystem

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// bindingFile has the ID of the metadata store that names the blobs, and that of the blobs.
const bindingFile = "METADATA"

// Bind implements store.BlobStore.
func (s *Store) Bind(ctx context.Context, metadataID string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	name := filepath.Join(s.path, bindingFile)
	bound, _, err := s.binding()
	if errors.Is(err, fs.ErrNotExist) {
		return directory.Full(disk.WriteNewFile(s.fsys, name, metadataID+"\n"+rand.Text()+"\n"))
	}
	if err != nil {
		return err
	}
	if bound != metadataID {
		return fmt.Errorf("%w: the blobs in %s are of another metadata store; use that one, or an empty directory for blobs", store.ErrMismatch, s.path)
	}
	return nil
}

// BlobsID implements store.Identified.
func (s *Store) BlobsID(ctx context.Context) (string, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	_, id, err := s.binding()
	return id, err
}

// binding reads what Bind wrote.
func (s *Store) binding() (metadataID, blobsID string, err error) {
	text, err := os.ReadFile(filepath.Join(s.path, bindingFile))
	if err != nil {
		return "", "", fmt.Errorf("reading binding: %w", err)
	}
	metadataID, blobsID, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	return metadataID, blobsID, nil
}

// positionFile has the highest position that the journal of the metadata had.
const positionFile = "POSITION"

// KeepPosition implements store.BlobStore.
func (s *Store) KeepPosition(ctx context.Context, at store.Position, lower bool) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.positioning.Lock()
	defer s.positioning.Unlock()
	kept, err := s.position()
	if err != nil && !lower {
		return err
	}
	if !lower {
		if err := at.CheckFollows(kept); err != nil {
			return err
		}
	}
	if at == kept {
		return nil
	}
	text, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("telling the position: %w", err)
	}
	return directory.Full(disk.WriteFile(s.fsys, filepath.Join(s.path, positionFile), string(text)+"\n"))
}

// position reads what KeepPosition wrote.
func (s *Store) position() (at store.Position, err error) {
	text, err := os.ReadFile(filepath.Join(s.path, positionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("reading the position of the metadata: %w", err)
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%w: the file %s in %s: %w", store.ErrDamaged, positionFile, s.path, err)
	}
	return at, nil
}
