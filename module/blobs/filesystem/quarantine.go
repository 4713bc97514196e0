package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Quarantine implements store.BlobStore. When it returns nil the bytes are in
// quarantine for good: both directories are synced, the new name's first, so that
// a power cut in between leaves one of the names or both.
func (s *Store) Quarantine(ctx context.Context, locator store.Locator) error {
	name, err := s.find(ctx, locator)
	if err != nil {
		return err
	}
	if format.Owns(locator) {
		return s.copyAside(locator)
	}
	err = s.entries.Give(func() error { return s.putAside(name, locator) }, filepath.Join(s.path, quarantineDirectory), filepath.Dir(name))
	if err != nil && !errors.Is(err, store.ErrBlobNotFound) {
		return fmt.Errorf("moving to quarantine: %w", err)
	}
	return nil
}

// copyAside moves a small blob to quarantine: it is written there, durable with its name,
// before it is taken out of its pack for good.
func (s *Store) copyAside(locator store.Locator) error {
	s.quarantining.Lock()
	defer s.quarantining.Unlock()
	content, err := s.packs.Raw(locator)
	if errors.Is(err, store.ErrBlobNotFound) {
		return nil
	}
	if err == nil {
		err = s.entries.MakeDirectory(filepath.Join(s.path, quarantineDirectory))
	}
	if err != nil {
		return err
	}
	aside, err := s.placeAside(locator)
	if err != nil {
		return err
	}
	if err := disk.WriteNewFile(s.fsys, aside, string(content)); err != nil {
		return directory.Full(err)
	}
	return s.packs.Drop(locator)
}

// asideFormat begins the name of what is put aside: when that was.
const asideFormat = "20060102T150405Z-"

// PurgeQuarantine implements store.BlobStore. What does not have a name that the
// store gives is left alone.
func (s *Store) PurgeQuarantine(ctx context.Context, before time.Time, keep int) (removed int, err error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	folder := filepath.Join(s.path, quarantineDirectory)
	entries, err := os.ReadDir(folder) // sorted: oldest first
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading quarantine: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(entry fs.DirEntry) bool { _, ours := putAsideAt(entry.Name()); return !ours })
	for i, entry := range entries {
		if at, _ := putAsideAt(entry.Name()); !at.Before(before) && len(entries)-i <= keep {
			break
		}
		if err := s.fsys.Remove(filepath.Join(folder, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("removing from quarantine: %w", directory.Full(err))
		}
		removed++
	}
	return removed, nil
}

// putAsideAt reads a name in quarantine, and tells whether it is one that the store
// gives.
func putAsideAt(name string) (at time.Time, ours bool) {
	if len(name) <= len(asideFormat) {
		return at, false
	}
	at, err := time.Parse(asideFormat, name[:len(asideFormat)])
	return at, err == nil
}

// putAside moves a file to quarantine. store.ErrBlobNotFound when it is not there.
func (s *Store) putAside(name string, locator store.Locator) error {
	s.quarantining.Lock() // the name that is found vacant stays so
	defer s.quarantining.Unlock()
	if _, err := os.Lstat(name); err != nil {
		return fmt.Errorf("looking for file: %w", s.notFound(err))
	}
	if err := s.entries.MakeDirectory(filepath.Join(s.path, quarantineDirectory)); err != nil {
		return err
	}
	aside, err := s.placeAside(locator)
	if err != nil {
		return err
	}
	if err := s.fsys.Rename(name, aside); err != nil {
		return fmt.Errorf("renaming file: %w", s.notFound(directory.Full(err))) // it may be deleted meanwhile
	}
	return nil
}

// placeAside finds a name in quarantine. What is there already stays: a power cut
// may have brought a name back to its old place and kept the new one too.
func (s *Store) placeAside(locator store.Locator) (string, error) {
	name := s.now().UTC().Format(asideFormat) + strings.ReplaceAll(string(locator), "/", "-")
	first := filepath.Join(s.path, quarantineDirectory, name)
	for place, n := first, 1; ; n++ {
		vacant, err := isVacant(place)
		if vacant || err != nil {
			return place, err
		}
		place = first + "." + strconv.Itoa(n)
	}
}

func isVacant(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for file: %w", err)
	}
	return false, nil
}
