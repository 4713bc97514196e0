package entries

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// MakeDirectory makes a directory in that of the store, durable, once in its life. When
// its name cannot be synced the directory, still empty, is removed again, so that
// the next caller makes and syncs a new one. As long as it cannot be removed
// nobody gets it: a second sync may succeed although the name is lost.
func (e *Entries) MakeDirectory(path string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	doubt, known := e.made[path]
	if known && doubt == nil {
		return nil
	}
	if doubt != nil && e.discard(path) != nil {
		return doubt
	}
	if err := e.fsys.MakeDirectory(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making directory: %w", directory.NotWritten(err))
	}
	if err := e.fsys.SyncDirectory(e.path); err != nil {
		err = fmt.Errorf("syncing new directory: %w", directory.NotWritten(err))
		e.made[path] = err
		_ = e.discard(path) // if it cannot be, the error stays known
		return err
	}
	e.made[path] = nil
	return nil
}

// discard removes an empty directory and what is known of it.
func (e *Entries) discard(path string) error {
	if err := e.fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing empty directory: %w", directory.Full(err))
	}
	delete(e.made, path)
	return nil
}

// Trust takes a directory of an earlier process, in that of the store, for durable when it has
// something in it, and removes an empty one. Nobody may write to it yet. What is left is
// durable once the directory of the store is synced, but for an empty one that cannot be
// removed: its name may be what an earlier sync lost.
func (e *Entries) Trust(path string) error {
	empty, err := disk.IsEmpty(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	e.made[path] = nil
	if !empty {
		return nil
	}
	if err := e.discard(path); err != nil {
		e.made[path] = err
	}
	return nil
}
