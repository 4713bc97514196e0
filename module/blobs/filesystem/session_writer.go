package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sessionWriter writes the bytes of a session at their place.
type sessionWriter struct {
	appender
	store  *Store
	dirty  bool  // the file was changed since it was synced
	failed error // of a write or a sync: what is in the file may not be what was sent
	closed bool
}

// ContinueSession implements store.BlobStore.
func (s *Store) ContinueSession(ctx context.Context, session store.Session) (store.SessionWriter, error) {
	place, err := s.find(ctx, session.Locator)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(place)
	if err = s.judge(err); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < session.Offset {
		return nil, fmt.Errorf("%w: the upload has fewer than %d bytes", store.ErrDamaged, session.Offset)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the bytes of a session: %w", err)
	}
	allowance, err := s.space.allow(session.Length - session.Offset)
	if err != nil {
		return nil, err
	}
	w := &sessionWriter{store: s, appender: appender{allowance: allowance, size: session.Offset, flushed: session.Offset}}
	if w.file, err = s.fsys.Append(place); err != nil {
		allowance.end()
		return nil, fmt.Errorf("opening file: %w", directory.NotWritten(err))
	}
	if info.Size() == session.Offset {
		return w, nil
	}
	// What was not saved: a power cut may have left anything there.
	w.dirty = true
	if err := w.file.Truncate(session.Offset); err != nil {
		return nil, errors.Join(fmt.Errorf("cutting off what was not saved: %w", directory.NotWritten(err)), w.Close())
	}
	return w, nil
}

func (w *sessionWriter) usable() error {
	if w.closed || w.store.closed.Load() {
		return errClosed
	}
	return w.failed
}

// Write implements io.Writer.
func (w *sessionWriter) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	n, err := w.append(p)
	w.dirty, w.failed = true, err
	return n, err
}

// Save implements store.SessionWriter.
func (w *sessionWriter) Save(_ context.Context, session store.Session) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.failed = w.save(session)
	return w.failed
}

func (w *sessionWriter) save(session store.Session) error {
	if session.Offset != w.size {
		return fmt.Errorf("saving an offset of %d, after %d bytes", session.Offset, w.size)
	}
	if w.dirty {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("syncing file: %w", directory.NotWritten(err))
		}
		w.dirty = false
	}
	return w.store.saveSession(session, disk.WriteFile)
}

// Commit implements store.SessionWriter. The bytes are in their place, and durable.
func (w *sessionWriter) Commit(context.Context) error { return w.usable() }

// Close implements store.SessionWriter.
func (w *sessionWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.allowance.end()
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("closing file: %w", directory.NotWritten(err))
	}
	return nil
}
