package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Create implements store.BlobStore. It asks the server for nothing.
func (s *Store) Create(ctx context.Context, size int64) (store.BlobWriter, error) {
	if err := s.bucket.Writable(ctx); err != nil {
		return nil, err
	}
	return s.newWriter(store.NewLocator(s.sequence.Add(1)), size)
}

// CreateAt implements store.BlobStore.
func (s *Store) CreateAt(ctx context.Context, locator store.Locator, size int64) (store.BlobWriter, error) {
	switch _, err := s.Stat(ctx, locator); {
	case err == nil:
		return nil, fmt.Errorf("%w: %s has a blob", bucket.ErrTaken, locator)
	case !errors.Is(err, store.ErrBlobNotFound):
		return nil, err
	}
	return s.newWriter(locator, size)
}

// writer writes one blob.
type writer struct {
	bucket  *bucket.Bucket
	locator store.Locator
	size    int64 // announced, -1 when unknown
	came    int64
	content bucket.Content
	failed  error
	ended   bool
}

func (s *Store) newWriter(locator store.Locator, size int64) (*writer, error) {
	key, err := s.place(locator)
	if err != nil {
		return nil, err
	}
	return &writer{bucket: s.bucket, locator: locator, size: size, content: s.bucket.Create(key, size)}, nil
}

var errEnded = fmt.Errorf("%w: writer is closed", store.ErrUnavailable)

func (w *writer) usable() error {
	if w.ended {
		return errEnded
	}
	return cmp.Or(w.bucket.Writable(context.Background()), w.failed)
}

// Write implements io.Writer. After an error the blob can only be dropped.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.size >= 0 && w.came+int64(len(p)) > w.size {
		w.failed = fmt.Errorf("more than the %d bytes came that were announced", w.size)
		return 0, w.failed
	}
	if w.failed = w.content.Append(p); w.failed != nil {
		return 0, w.failed
	}
	w.came += int64(len(p))
	return len(p), nil
}

// Commit implements store.BlobWriter.
func (w *writer) Commit(ctx context.Context) (store.Locator, error) {
	err := w.usable()
	if err == nil && w.size >= 0 && w.came != w.size {
		err = fmt.Errorf("%d bytes came, of %d that were announced", w.came, w.size)
	}
	if err == nil {
		err = w.content.Commit(ctx)
	}
	if err != nil {
		return "", errors.Join(err, w.Abort())
	}
	w.ended = true
	return w.locator, nil
}

// Abort implements store.BlobWriter.
func (w *writer) Abort() error {
	if !w.ended {
		w.ended = true
		w.content.Abort()
	}
	return nil
}
