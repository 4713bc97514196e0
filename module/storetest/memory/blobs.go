package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Blobs is a place for bytes: what one store leaves, the next one finds.
type Blobs struct {
	mu     sync.Mutex
	isOpen bool
	bytes  map[registry.Locator][]byte
}

// NewBlobs returns an empty place.
func NewBlobs() *Blobs { return &Blobs{bytes: make(map[registry.Locator][]byte)} }

// Open opens a store on the place. ErrLocked while another one is open.
func (b *Blobs) Open() (registry.BlobStore, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isOpen {
		return nil, fmt.Errorf("%w: this place in memory", registry.ErrLocked)
	}
	b.isOpen = true
	return &blobStore{place: b}, nil
}

type blobStore struct {
	place  *Blobs
	closed bool // guarded by place.mu
}

func (s *blobStore) enter(ctx context.Context) (leave func(), err error) {
	s.place.mu.Lock()
	err = ctx.Err()
	if s.closed {
		err = fmt.Errorf("%w: closed", registry.ErrUnavailable)
	}
	if err != nil {
		s.place.mu.Unlock()
		return nil, err
	}
	return s.place.mu.Unlock, nil
}

func (s *blobStore) Create(ctx context.Context, locator registry.Locator, _ int64) (registry.BlobWriter, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, _, err := locator.Split(); err != nil {
		return nil, err
	}
	return &blobWriter{store: s, locator: locator}, nil
}

func (s *blobStore) Open(ctx context.Context, locator registry.Locator, size int64) (io.ReadSeekCloser, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	content, found := s.place.bytes[locator]
	if !found {
		return nil, registry.ErrBlobNotFound
	}
	if int64(len(content)) != size {
		return nil, fmt.Errorf("%w: blob %s has %d bytes, not %d", registry.ErrDamaged, locator, len(content), size)
	}
	return reader{bytes.NewReader(content)}, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (s *blobStore) Delete(ctx context.Context, locator registry.Locator) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	delete(s.place.bytes, locator)
	return nil
}

func (s *blobStore) Walk(ctx context.Context, fn func(registry.Locator, int64, time.Time) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	sizes := make(map[registry.Locator]int64, len(s.place.bytes))
	for locator, content := range s.place.bytes {
		sizes[locator] = int64(len(content))
	}
	leave()
	for locator, size := range sizes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(locator, size, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *blobStore) Stat(ctx context.Context, locator registry.Locator) (int64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	content, found := s.place.bytes[locator]
	if !found {
		return 0, registry.ErrBlobNotFound
	}
	return int64(len(content)), nil
}

func (s *blobStore) Close() error {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if !s.closed {
		s.closed, s.place.isOpen = true, false
	}
	return nil
}

type blobWriter struct {
	store   *blobStore
	locator registry.Locator
	content bytes.Buffer
	ended   bool
}

func (w *blobWriter) Write(p []byte) (int, error) {
	leave, err := w.store.enter(context.Background())
	if err != nil {
		return 0, err
	}
	defer leave()
	return w.content.Write(p)
}

func (w *blobWriter) Commit(ctx context.Context) error {
	leave, err := w.store.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if !w.ended {
		w.ended = true
		w.store.place.bytes[w.locator] = w.content.Bytes()
	}
	return nil
}

func (w *blobWriter) Abort() error {
	w.ended = true
	return nil
}
