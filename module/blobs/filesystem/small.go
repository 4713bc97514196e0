package filesystem

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// smallWriter gathers one small blob, for a pack.
type smallWriter struct {
	store     *Store
	locator   store.Locator // empty: where the pack has room
	allowance *allowance
	content   []byte // what came; nothing that was only announced takes memory
	failed    error  // what was kept is not what was sent
	ended     bool
}

func (s *Store) createSmall(ctx context.Context, locator store.Locator, size int64) (*smallWriter, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if locator != "" {
		if err := format.Check(locator); err != nil {
			return nil, err
		}
	}
	if size > smallBlob {
		return nil, fmt.Errorf("no pack has blobs of %d bytes", size)
	}
	allowance, err := s.space.allow(size)
	if err != nil {
		return nil, err
	}
	return &smallWriter{store: s, locator: locator, allowance: allowance}, nil
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
	if len(w.content)+len(p) > smallBlob {
		w.failed = fmt.Errorf("more than %d bytes came, and fewer were announced", smallBlob)
		return 0, w.failed
	}
	if w.failed = w.allowance.need(int64(len(w.content) + len(p))); w.failed != nil {
		return 0, w.failed
	}
	w.content = append(w.content, p...)
	return len(p), nil
}

// Commit implements store.BlobWriter: the bytes are written to a pack, durable, or staged until
// Carry. As with a large one, no step may be tried twice.
func (w *smallWriter) Commit(ctx context.Context) (store.Locator, error) {
	if err := w.usable(); err != nil {
		return "", errors.Join(err, w.Abort())
	}
	defer w.end()
	if w.locator != "" {
		return w.locator, w.store.judge(w.store.packs.PutAt(ctx, w.locator, w.content))
	}
	locator, err := w.store.packs.Put(ctx, w.content)
	return locator, w.store.judge(err)
}

// Abort implements store.BlobWriter.
func (w *smallWriter) Abort() error {
	w.end()
	return nil
}

func (w *smallWriter) end() {
	w.ended = true
	w.allowance.end()
	w.content = nil
}

// Carry implements journal.Carrier.
func (s *Store) Carry(first, synced uint64, lines []byte, named []store.Locator) (carried bool, err error) {
	return s.packs.Carry(first, synced, lines, named)
}

// Carried implements journal.Carrier.
func (s *Store) Carried(id string, after uint64, journal string) ([]byte, error) {
	return s.packs.Carried(id, after, journal)
}

// Forget implements journal.Carrier.
func (s *Store) Forget() error { return s.packs.Forget() }
