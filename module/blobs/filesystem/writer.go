package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// allocateFrom is the size from which blocks are set aside in advance. For less it
	// costs more than it gives.
	allocateFrom = 1 << 20

	// allocateAhead is the most that is set aside beyond what came: as much again
	// until then, so that a client that only announces bytes takes no blocks.
	allocateAhead = 64 << 20
)

// writer writes one blob that is not small: into tmp first, then by a rename to its place.
// Its file is made with the first byte: a client that only announces bytes takes neither an
// inode nor a descriptor.
type writer struct {
	appender
	store     *Store
	locator   store.Locator
	temporary string
	directory string // of its place
	place     string
	announced int64 // size, if it is worth setting blocks aside for; else 0
	allocated int64 // blocks for so many bytes were asked for
	failed    error // of a write: what is in the file is not what was sent
	closed    bool  // the file
	ended     bool
}

// Create implements store.BlobStore.
func (s *Store) Create(ctx context.Context, size int64) (store.BlobWriter, error) {
	switch {
	case size < 0:
		return s.createGrowing(ctx)
	case size <= smallBlob:
		return s.createSmall(ctx, "", size)
	}
	return s.createLarge(ctx, size)
}

func (s *Store) createLarge(ctx context.Context, size int64) (store.BlobWriter, error) {
	return s.CreateAt(ctx, store.NewLocator(s.sequence.Add(1)), size)
}

// CreateAt implements store.BlobStore.
func (s *Store) CreateAt(ctx context.Context, locator store.Locator, size int64) (store.BlobWriter, error) {
	if format.Owns(locator) {
		return s.createSmall(ctx, locator, size)
	}
	place, err := s.find(ctx, locator)
	if err != nil {
		return nil, err
	}
	allowance, err := s.space.allow(size)
	if err != nil {
		return nil, err
	}
	w := &writer{
		store:     s,
		locator:   locator,
		temporary: s.temporary(place),
		directory: filepath.Dir(place),
		place:     place,
		appender:  appender{allowance: allowance},
	}
	if size >= allocateFrom {
		w.announced = size
	}
	return w, nil
}

// begin makes the file, unless there is one.
func (w *writer) begin() error {
	if w.file != nil {
		return nil
	}
	file, err := w.store.fsys.Create(w.temporary)
	if err != nil {
		return fmt.Errorf("creating file: %w", directory.NotWritten(w.store.judge(err)))
	}
	w.file = file
	return nil
}

// ahead sets blocks aside before so many bytes of the file are written, when there are
// not enough.
func (w *writer) ahead(size int64) error {
	if size <= w.allocated || w.allocated >= w.announced {
		return nil
	}
	target := min(w.announced, size+min(size, allocateAhead))
	if target <= w.allocated || !w.allowance.promise(target-w.size) {
		return nil // it is written without
	}
	w.allocated = target
	return w.allocate(target)
}

// allocate sets blocks aside for the first bytes of the file: it lies in few pieces then,
// and is synced faster. From now on the file system counts them, if it has really
// set them aside: some say so and do not.
func (w *writer) allocate(size int64) error {
	if err := w.file.Allocate(0, size); err != nil {
		return fmt.Errorf("reserving disk space: %w", directory.NotWritten(err))
	}
	if bytes, err := w.file.Allocated(); err == nil && bytes >= size {
		w.allowance.allocate()
	}
	return nil
}

var errClosed = fmt.Errorf("%w: writer is closed", store.ErrUnavailable)

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
	if err := w.begin(); err != nil {
		return 0, err
	}
	if err := w.ahead(w.size + int64(len(p))); err != nil {
		return 0, err
	}
	return w.appender.append(p)
}

// Commit implements store.BlobWriter: the bytes are synced, then their name.
// It ends the writer even when it fails, because no step may be tried twice:
// after a failed sync the next one may succeed although the data is lost. When the disk does
// not answer in time, the sweep removes what comes of it.
func (w *writer) Commit(ctx context.Context) (store.Locator, error) {
	if w.ended {
		return "", errClosed
	}
	work := *w
	w.ended = true
	if err := waiting.Until(ctx, work.commit); err != nil {
		return "", err
	}
	return w.locator, nil
}

// commit is the work of Commit. It may go on when nobody waits any more.
func (w *writer) commit() error {
	defer waiting.Attend(w.store.log, "making a file durable")()
	err := w.finish()
	if err == nil {
		err = w.store.entries.Give(w.rename, w.directory)
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	return nil
}

// finish makes the bytes durable, and the directory that they are to be in.
func (w *writer) finish() error {
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	if w.size < w.allocated {
		// To the size that it has: blocks beyond would stay.
		if err := w.file.Truncate(w.size); err != nil {
			return fmt.Errorf("giving disk space back: %w", directory.NotWritten(err))
		}
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("syncing file: %w", directory.NotWritten(err))
	}
	w.closed = true
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("closing file: %w", directory.NotWritten(err))
	}
	return w.store.entries.MakeDirectory(w.directory)
}

// rename gives the bytes their name. From then on there is nothing to abort: if the name
// cannot be made durable the sweep removes it.
func (w *writer) rename() error {
	if err := w.checkVacant(); err != nil {
		return err
	}
	if err := w.store.fsys.Rename(w.temporary, w.place); err != nil {
		return fmt.Errorf("renaming file: %w", directory.NotWritten(err))
	}
	w.ended = true
	w.allowance.end()
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

// Abort implements store.BlobWriter.
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	w.allowance.end()
	if w.file == nil {
		return nil
	}
	var closing error
	if !w.closed {
		closing = w.file.Close()
	}
	if err := w.store.fsys.Remove(w.temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing file: %w", directory.Full(err))
	}
	if closing != nil {
		return fmt.Errorf("closing file: %w", directory.Full(closing))
	}
	return nil
}
