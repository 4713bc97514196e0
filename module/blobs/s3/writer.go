package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Create implements store.BlobStore. It asks the server for nothing.
func (s *Store) Create(ctx context.Context, size int64) (store.BlobWriter, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	return s.newWriter(store.NewLocator(s.sequence.Add(1)), size)
}

// CreateAt implements store.BlobStore.
func (s *Store) CreateAt(ctx context.Context, locator store.Locator, size int64) (store.BlobWriter, error) {
	switch _, err := s.Stat(ctx, locator); {
	case err == nil:
		return nil, fmt.Errorf("%w: %s has a blob", errTaken, locator)
	case !errors.Is(err, store.ErrBlobNotFound):
		return nil, err
	}
	return s.newWriter(locator, size)
}

// content is how the bytes of a blob get to the server.
type content interface {
	// write takes bytes.
	write(p []byte) error
	// commit makes the object.
	commit(ctx context.Context) error
	// abort drops what was written.
	abort()
}

// writer writes one blob.
type writer struct {
	store   *Store
	locator store.Locator
	size    int64 // announced, -1 when unknown
	came    int64
	content content
	failed  error
	ended   bool
}

func (s *Store) newWriter(locator store.Locator, size int64) (*writer, error) {
	key, err := s.place(locator)
	if err != nil {
		return nil, err
	}
	w := &writer{store: s, locator: locator, size: size}
	switch {
	case size >= 0 && size <= smallBlob:
		w.content = &smallContent{store: s, key: key}
	case size > largestPut:
		w.content = newLargeContent(s, key, size)
	case size > 0:
		w.content = &streamContent{store: s, key: key, size: size}
	default:
		w.content = newGathered(s, key)
	}
	return w, nil
}

var errEnded = fmt.Errorf("%w: writer is closed", store.ErrUnavailable)

func (w *writer) usable() error {
	if w.ended || w.store.closed.Load() {
		return errEnded
	}
	return w.failed
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
	if w.failed = w.content.write(p); w.failed != nil {
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
		err = w.content.commit(ctx)
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
		w.content.abort()
	}
	return nil
}

// putBytes makes an object of bytes that are in memory.
func (s *Store) putBytes(ctx context.Context, key string, content []byte, options minio.PutObjectOptions) error {
	return s.request(ctx, "writing an object", func(ctx context.Context, client *minio.Core) error {
		options.DisableMultipart = true
		_, err := client.Client.PutObject(ctx, s.bucket, key, bytes.NewReader(content), int64(len(content)), options)
		return err
	})
}

// smallContent keeps the bytes until Commit.
type smallContent struct {
	store *Store
	key   string
	bytes []byte // what came; nothing that was only announced takes memory
}

func (c *smallContent) write(p []byte) error {
	c.bytes = append(c.bytes, p...)
	return nil
}

func (c *smallContent) commit(ctx context.Context) error {
	return c.store.putBytes(ctx, c.key, c.bytes, minio.PutObjectOptions{})
}

func (c *smallContent) abort() { c.bytes = nil }

// streamContent gives the bytes to one PUT as they come.
type streamContent struct {
	store  *Store
	key    string
	size   int64
	stream *stream // nil before the first byte
	last   []byte  // what Commit sends
}

// write holds the last byte back: the server has no whole object before Commit.
func (c *streamContent) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if c.stream == nil {
		c.stream = c.store.newStream(func(ctx context.Context, client *minio.Core, body io.Reader) error {
			_, err := client.Client.PutObject(ctx, c.store.bucket, c.key, body, c.size, minio.PutObjectOptions{DisableMultipart: true})
			return err
		})
	}
	if err := c.stream.write(c.last); err != nil {
		return err
	}
	if err := c.stream.write(p[:len(p)-1]); err != nil {
		return err
	}
	c.last = append(c.last[:0], p[len(p)-1])
	return nil
}

func (c *streamContent) commit(ctx context.Context) error {
	leave := c.stream.dog.follow(ctx)
	defer leave()
	if err := c.stream.write(c.last); err != nil {
		return err
	}
	return c.stream.end()
}

func (c *streamContent) abort() {
	if c.stream != nil {
		c.stream.drop()
	}
}
