package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// writer writes one blob: into tmp first, then by a rename to its place. The sync
// comes after the rename: one commit of the file system's journal then has bytes and
// name, and the sync of the directory finds nothing left to do. Nobody is told of the
// name before both: a file that a crash leaves without its bytes is named by no record.
type writer struct {
	store     *Store
	file      disk.File
	name      string // now
	directory string // of its place
	place     string
	allowance *allowance
	failed    error // of a write: what is in the file is not what was sent
	closed    bool  // the file
	ended     bool
}

// Create implements registry.BlobStore.
func (s *Store) Create(ctx context.Context, locator registry.Locator, size int64) (registry.BlobWriter, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	folder, name, err := split(locator)
	if err != nil {
		return nil, err
	}
	allowance, err := s.space.allow(size)
	if err != nil {
		return nil, err
	}
	w := &writer{
		store:     s,
		name:      filepath.Join(s.path, temporaryDirectory, name),
		directory: filepath.Join(s.path, folder),
		place:     filepath.Join(s.path, folder, name),
		allowance: allowance,
	}
	if w.file, err = s.fsys.Create(w.name); err != nil {
		allowance.end()
		return nil, fmt.Errorf("creating file: %w", directory.Full(err))
	}
	return w, nil
}

var errClosed = fmt.Errorf("%w: writer is closed", registry.ErrUnavailable)

func (w *writer) usable() error {
	if w.ended || w.store.closed.Load() {
		return errClosed
	}
	return w.failed
}

// Write implements io.Writer. After an error the blob can only be dropped.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	n, err := w.append(p)
	w.failed = err
	return n, err
}

func (w *writer) append(p []byte) (int, error) {
	if err := w.allowance.need(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := w.file.Write(p)
	w.allowance.written(int64(n))
	if err != nil {
		return n, fmt.Errorf("writing file: %w", directory.Full(err))
	}
	return n, nil
}

// Commit implements registry.BlobWriter: the bytes are synced, then their name.
// It ends the writer even when it fails, because no step may be tried twice:
// after a failed sync the next one may succeed although the data is lost.
func (w *writer) Commit(context.Context) error {
	if w.ended {
		return errClosed
	}
	if err := w.put(); err != nil {
		return errors.Join(err, w.Abort())
	}
	// In place: if its name cannot be made durable the sweep removes it.
	w.ended = true
	w.allowance.end()
	return directory.Full(w.store.names.wait(w.directory))
}

// put gives the bytes their name and syncs them.
func (w *writer) put() error {
	if err := w.usable(); err != nil {
		return err
	}
	first, then := w.move, w.sync
	if runtime.GOOS == "windows" { // which does not rename open files
		first, then = then, first
	}
	if err := first(); err != nil {
		return err
	}
	return then()
}

func (w *writer) move() error {
	if err := w.store.makeDirectory(w.directory); err != nil {
		return err
	}
	if err := w.checkVacant(); err != nil {
		return err
	}
	if err := w.store.fsys.Rename(w.name, w.place); err != nil {
		return fmt.Errorf("renaming file: %w", directory.Full(err))
	}
	w.name = w.place
	return nil
}

func (w *writer) sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("syncing file: %w", directory.Full(err))
	}
	w.closed = true
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("closing file: %w", directory.Full(err))
	}
	return nil
}

// checkVacant keeps a rename from replacing a blob, which happens only if a
// locator is used twice. Looking first is enough: the file in tmp, made
// exclusively, keeps out every other writer of the same name.
func (w *writer) checkVacant() error {
	vacant, err := isVacant(w.place)
	if err == nil && !vacant {
		err = fmt.Errorf("looking at the place of the blob: %w", fs.ErrExist)
	}
	return err
}

// Abort implements registry.BlobWriter.
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	w.allowance.end()
	var closing error
	if !w.closed {
		closing = w.file.Close()
	}
	if err := w.store.fsys.Remove(w.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing file: %w", directory.Full(err))
	}
	if closing != nil {
		return fmt.Errorf("closing file: %w", directory.Full(closing))
	}
	return nil
}
