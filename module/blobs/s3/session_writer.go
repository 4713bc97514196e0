package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sessionWriter goes on with a session.
type sessionWriter struct {
	store     *Store
	key       string // of the blob
	gathering *bucket.Gathering
	upload    upload // as it was saved last
	size      int64  // with what is not saved
	committed bool   // it is a blob already
	failed    error
	closed    bool
}

// ContinueSession implements store.Sessions.
func (s *Store) ContinueSession(ctx context.Context, session store.Session) (store.SessionWriter, error) {
	u, err := s.readUpload(ctx, session.ID, session.Turn)
	if errors.Is(err, store.ErrSessionNotFound) || err == nil && (u.Offset != session.Offset || u.Locator != session.Locator) {
		return nil, fmt.Errorf("%w: the upload is another one than was found", store.ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkLength(session, u.Sent); err != nil {
		return nil, err
	}
	key, err := s.place(u.Locator)
	if err != nil {
		return nil, err
	}
	w := &sessionWriter{store: s, key: key, gathering: s.bucket.Gather(key, u.Sent), upload: u, size: u.Offset}
	if err := w.load(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// load gets what the writer goes on with: the parts and the tail, or else the blob that they
// have become.
func (w *sessionWriter) load(ctx context.Context) error {
	there, err := w.gathering.IsThere(ctx)
	if err != nil {
		return err
	}
	if there && w.upload.Tail != "" {
		tail, err := w.store.bucket.Read(ctx, w.tailKey(w.upload.Tail))
		if err != nil && !errors.Is(err, store.ErrBlobNotFound) {
			return err
		}
		if there = err == nil && int64(len(tail)) == w.upload.tailSize(); there {
			return w.gathering.Append(tail)
		}
	}
	if there {
		return nil
	}
	size, err := w.store.bucket.Size(ctx, w.key)
	if errors.Is(err, store.ErrBlobNotFound) || err == nil && size != w.upload.Offset {
		return fmt.Errorf("%w: the upload has fewer than %d bytes", store.ErrDamaged, w.upload.Offset)
	}
	w.committed = err == nil
	return err
}

func (w *sessionWriter) tailKey(name string) string { return w.store.tailKey(w.upload.ID, name) }

func (w *sessionWriter) usable() error {
	if w.closed {
		return errEnded
	}
	return cmp.Or(w.store.bucket.Writable(context.Background()), w.failed)
}

// Write implements io.Writer.
func (w *sessionWriter) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.committed && len(p) > 0 {
		return 0, store.ErrEnded
	}
	if w.failed = w.gathering.Append(p); w.failed != nil {
		return 0, w.failed
	}
	w.size += int64(len(p))
	return len(p), nil
}

// Save implements store.SessionWriter.
func (w *sessionWriter) Save(ctx context.Context, session store.Session) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.failed = w.save(ctx, session)
	return w.failed
}

func (w *sessionWriter) save(ctx context.Context, session store.Session) error {
	if session.Offset != w.size {
		return fmt.Errorf("saving an offset of %d, after %d bytes", session.Offset, w.size)
	}
	if w.committed {
		return nil // nothing came
	}
	sent, rest, err := w.gathering.Flush(ctx)
	if err != nil {
		return err
	}
	saved := upload{Session: session, Sent: sent}
	if len(rest) > 0 {
		saved.Tail = string(store.NewSessionID()) // no name is written twice
		if err := w.store.bucket.Put(ctx, w.tailKey(saved.Tail), rest); err != nil {
			return err
		}
	}
	if err := w.store.saveUpload(ctx, &saved); err != nil {
		return err
	}
	former := w.upload.Tail
	w.upload = saved
	w.dropTail(ctx, former)
	return nil
}

// dropTail deletes last bytes that nothing names any more. If that fails they go with the
// session.
func (w *sessionWriter) dropTail(ctx context.Context, name string) {
	if name != "" {
		_ = w.store.bucket.Remove(ctx, w.tailKey(name))
	}
}

// Commit implements store.SessionWriter.
func (w *sessionWriter) Commit(ctx context.Context) error {
	if err := w.usable(); err != nil || w.committed {
		return err
	}
	if w.size != w.upload.Offset {
		return fmt.Errorf("committing %d bytes, of which %d are saved", w.size, w.upload.Offset)
	}
	if err := w.gathering.Commit(ctx); err != nil {
		if errors.Is(err, bucket.ErrOtherParts) {
			err = fmt.Errorf("%w: %v", store.ErrDamaged, err)
		}
		w.failed = err
		return err
	}
	w.committed = true
	w.dropTail(ctx, w.upload.Tail)
	return nil
}

// Close implements store.SessionWriter.
func (w *sessionWriter) Close() error {
	w.closed = true
	w.gathering.Release()
	return nil
}
