package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs"
	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// prepare leaves the directory as a store that just opened has it: nothing in tmp,
// no directory or pack without blobs, all names durable, the reserve free.
func (s *Store) prepare(log *slog.Logger, layout format.Layout) error {
	if disk.IsReadOnly(s.path) {
		return s.openPacks(log, layout, true)
	}
	if err := s.clearTemporary(log); err != nil {
		return err
	}
	if err := s.prepareSessions(); err != nil {
		return err
	}
	if err := s.trustDirectories(); err != nil {
		return err
	}
	if err := s.continueSequence(); err != nil {
		return err
	}
	if err := s.makePacks(); err != nil {
		return err
	}
	if err := s.openPacks(log, layout, false); err != nil {
		return err
	}
	// What was restored or copied here may never have been synced.
	if err := s.fsys.SyncDirectory(s.path); err != nil {
		return directory.Full(err)
	}
	return s.checkSpace()
}

// makePacks makes the directory of packs. An empty one is removed and made again: an earlier
// sync of its name may have failed.
func (s *Store) makePacks() error {
	path := filepath.Join(s.path, packDirectory)
	empty, err := disk.IsEmpty(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing || err == nil && !empty {
		return err
	}
	if !missing {
		if err := s.fsys.Remove(path); err != nil {
			return fmt.Errorf("removing the empty directory of packs: %w", directory.Full(err))
		}
	}
	if err := s.fsys.MakeDirectory(path); err != nil {
		return fmt.Errorf("making the directory of packs: %w", directory.Full(err))
	}
	return nil
}

func (s *Store) openPacks(log *slog.Logger, layout format.Layout, readOnly bool) (err error) {
	s.packs, err = packs.Open(filepath.Join(s.path, packDirectory), packs.Options{
		FS: s.fsys, Log: log, ReadOnly: readOnly, Layout: layout, IsThere: s.claim.Check,
		HasRoom: func(bytes int64) bool { return s.space.check(bytes) == nil },
	})
	return err
}

func (s *Store) clearTemporary(log *slog.Logger) error {
	temporary := filepath.Join(s.path, temporaryDirectory)
	left, err := os.ReadDir(temporary)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading uploads: %w", err)
	}
	if len(left) > 0 {
		log.Info("removing uploads that never ended", slog.Int("count", len(left)))
	}
	if err := disk.RemoveAll(s.fsys, temporary); err != nil {
		return fmt.Errorf("removing uploads that never ended: %w", directory.Full(err))
	}
	if err := s.fsys.MakeDirectory(temporary); err != nil {
		return fmt.Errorf("making directory of uploads: %w", directory.Full(err))
	}
	return nil
}

// checkSpace reports ErrNoSpace when not even the reserve is free: deletes would
// make room, but metadata is likely on the same disk and cannot be opened.
func (s *Store) checkSpace() error {
	return directory.Enough(s.fsys, s.path, uint64(s.space.reserve.Load()), 0)
}

// trustDirectories removes directories without blobs. Only here, where nobody writes.
func (s *Store) trustDirectories() error {
	names, err := s.directories()
	if err != nil {
		return err
	}
	for _, name := range append(names, quarantineDirectory, sessionDirectory) {
		if err := s.entries.Trust(filepath.Join(s.path, name)); err != nil {
			return err
		}
	}
	return nil
}

// continueSequence has the next blob go where the last one went: into the last
// directory that has some.
func (s *Store) continueSequence() error {
	directories, err := s.directories()
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(directories) { // sorted by os.ReadDir
		entries, err := os.ReadDir(filepath.Join(s.path, name))
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		blobs := 0
		for _, entry := range entries {
			if _, _, err := store.Locator(name + "/" + entry.Name()).Split(); err == nil {
				blobs++
			}
		}
		if blobs > 0 {
			s.sequence.Store(store.LocatorSequence(name, blobs))
			return nil
		}
	}
	return nil
}

// directories returns the names of the directories of locators.
func (s *Store) directories() ([]string, error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, fmt.Errorf("reading directories: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && store.IsLocatorDirectory(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
