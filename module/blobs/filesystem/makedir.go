package filesystem

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
)

// makeDirectory makes a directory of the store, durable, once in its life. When
// its name cannot be synced the directory, still empty, is removed again, so that
// the next caller makes and syncs a new one. As long as it cannot be removed
// nobody gets it: a second sync may succeed although the name is lost.
func (s *Store) makeDirectory(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	doubt, known := s.made[path]
	if known && doubt == nil {
		return nil
	}
	if doubt != nil && s.discard(path) != nil {
		return doubt
	}
	if err := s.fsys.MakeDirectory(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making directory: %w", directory.Full(err))
	}
	if err := s.fsys.SyncDirectory(s.path); err != nil {
		err = fmt.Errorf("syncing new directory: %w", directory.Full(err))
		s.made[path] = err
		_ = s.discard(path) // if it cannot be, the error stays known
		return err
	}
	s.made[path] = nil
	return nil
}

// discard removes an empty directory and what is known of it.
func (s *Store) discard(path string) error {
	if err := s.fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing empty directory: %w", directory.Full(err))
	}
	delete(s.made, path)
	return nil
}
