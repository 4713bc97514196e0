package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// walkChunk bounds how many names of a directory are in memory at once.
const walkChunk = 1024

// Walk implements store.BlobStore.
func (s *Store) Walk(ctx context.Context, fn func(store.Locator, int64, time.Time) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	err := s.packs.Walk(ctx, func(locator store.Locator, size int64, written time.Time) error {
		if err := s.usable(ctx); err != nil {
			return err
		}
		return fn(locator, size, written)
	})
	if err != nil {
		return err
	}
	directories, err := s.directories()
	if err != nil {
		return err
	}
	for _, name := range directories {
		if err := s.walkDirectory(ctx, name, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) walkDirectory(ctx context.Context, name string, fn func(store.Locator, int64, time.Time) error) error {
	directory, err := os.Open(filepath.Join(s.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was new, and given up
	}
	if err != nil {
		return fmt.Errorf("opening directory: %w", err)
	}
	defer directory.Close()
	for {
		entries, err := directory.ReadDir(walkChunk)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		for _, entry := range entries {
			if err := s.usable(ctx); err != nil {
				return err
			}
			if err := visit(store.Locator(name+"/"+entry.Name()), entry, fn); err != nil {
				return err
			}
		}
	}
}

// visit calls fn for one entry, unless it is no blob or has just been deleted.
func visit(locator store.Locator, entry fs.DirEntry, fn func(store.Locator, int64, time.Time) error) error {
	if _, _, err := locator.Split(); err != nil || !entry.Type().IsRegular() {
		return nil
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for file: %w", err)
	}
	return fn(locator, info.Size(), info.ModTime())
}
