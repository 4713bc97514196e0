package filesystem

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// smallWriter writes one small blob: it keeps the bytes, to write them ahead.
type smallWriter struct {
	store     *Store
	locator   store.Locator
	place     string
	allowance *allowance
	content   []byte // what came; nothing that was only announced takes memory
	failed    error  // what was kept is not what was sent
	ended     bool
}

func (s *Store) createSmall(locator store.Locator, place string, size int64) (*smallWriter, error) {
	allowance, err := s.space.allow(size)
	if err != nil {
		return nil, err
	}
	return &smallWriter{
		store:     s,
		locator:   locator,
		place:     place,
		allowance: allowance,
	}, nil
}

func (w *smallWriter) usable() error {
	if w.ended || w.store.closed.Load() {
		return errClosed
	}
	return w.failed
}

// Write implements io.Writer.
func (w *smallWriter) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.failed = w.allowance.need(int64(len(w.content) + len(p))); w.failed != nil {
		return 0, w.failed
	}
	w.content = append(w.content, p...)
	return len(p), nil
}

// Commit implements store.BlobWriter: the file is written to its place, and made
// durable by the log. As with a large one, no step may be tried twice.
func (w *smallWriter) Commit(context.Context) (store.Locator, error) {
	if err := w.usable(); err != nil {
		return "", errors.Join(err, w.Abort())
	}
	w.ended = true
	defer w.allowance.end()
	if err := w.store.makeDirectory(filepath.Dir(w.place)); err != nil {
		return "", err
	}
	epoch := w.store.wal.epoch.Load()
	file, err := w.store.fsys.Create(w.place)
	if err != nil {
		return "", fmt.Errorf("creating file: %w", directory.Full(err))
	}
	if err := w.put(file, epoch); err != nil {
		// Nobody names it. If it cannot be removed either, the sweep removes it.
		return "", errors.Join(err, w.store.fsys.Remove(w.place))
	}
	return w.locator, nil
}

// put writes the file and makes it durable.
func (w *smallWriter) put(file disk.File, epoch uint64) error {
	n, err := file.Write(w.content)
	w.allowance.written(int64(n))
	if err != nil {
		return errors.Join(fmt.Errorf("writing file: %w", directory.Full(err)), file.Close())
	}
	err = w.store.wal.append(entry{w.locator, w.content, epoch})
	if errors.Is(err, errNotAhead) {
		err = w.sync(file, epoch)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return directory.Full(err)
	}
	return nil
}

// sync makes the file durable without the log.
func (w *smallWriter) sync(file disk.File, epoch uint64) error {
	if err := file.Sync(); err != nil {
		return fmt.Errorf("syncing file: %w", err)
	}
	return w.store.confirm(filepath.Dir(w.place), epoch)
}

// Abort implements store.BlobWriter.
func (w *smallWriter) Abort() error {
	w.ended = true
	w.allowance.end()
	w.content = nil
	return nil
}
