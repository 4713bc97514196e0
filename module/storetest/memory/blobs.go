package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Blobs is a place for bytes: what one store leaves, the next one finds.
type Blobs struct {
	mu       sync.Mutex
	isOpen   bool
	bound    string
	position store.Position
	blobs    map[store.Locator]committed
	sessions map[store.SessionID]store.Session
}

type committed struct {
	content  []byte
	modified time.Time
}

// NewBlobs returns an empty place.
func NewBlobs() *Blobs {
	return &Blobs{blobs: make(map[store.Locator]committed), sessions: make(map[store.SessionID]store.Session)}
}

// Open opens a store on the place. ErrLocked while another one is open.
func (b *Blobs) Open() (store.BlobStore, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isOpen {
		return nil, fmt.Errorf("%w: this place in memory", store.ErrLocked)
	}
	b.isOpen = true
	return &blobStore{place: b}, nil
}

type blobStore struct {
	place    *Blobs
	closed   bool          // guarded by place.mu
	sequence atomic.Uint64 // of locators
}

func (s *blobStore) enter(ctx context.Context) (leave func(), err error) {
	s.place.mu.Lock()
	err = ctx.Err()
	if s.closed {
		err = fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	if err != nil {
		s.place.mu.Unlock()
		return nil, err
	}
	return s.place.mu.Unlock, nil
}

func (s *blobStore) Create(ctx context.Context, size int64) (store.BlobWriter, error) {
	return s.CreateAt(ctx, store.NewLocator(s.sequence.Add(1)), size)
}

func (s *blobStore) CreateAt(ctx context.Context, locator store.Locator, _ int64) (store.BlobWriter, error) {
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

func (s *blobStore) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	found, ok := s.place.blobs[locator]
	if !ok {
		return nil, store.ErrBlobNotFound
	}
	content := found.content
	if int64(len(content)) != size {
		return nil, fmt.Errorf("%w: blob %s has %d bytes, not %d", store.ErrDamaged, locator, len(content), size)
	}
	return reader{bytes.NewReader(content)}, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (s *blobStore) Delete(ctx context.Context, locator store.Locator) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, _, err := locator.Split(); err != nil {
		return err
	}
	delete(s.place.blobs, locator)
	return nil
}

func (s *blobStore) Walk(ctx context.Context, fn func(store.Locator, int64, time.Time) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	blobs := maps.Clone(s.place.blobs)
	leave()
	for locator, found := range blobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(locator, int64(len(found.content)), found.modified); err != nil {
			return err
		}
	}
	return nil
}

func (s *blobStore) Stat(ctx context.Context, locator store.Locator) (int64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	found, ok := s.place.blobs[locator]
	if !ok {
		return 0, store.ErrBlobNotFound
	}
	return int64(len(found.content)), nil
}

func (s *blobStore) Quarantine(ctx context.Context, locator store.Locator) error {
	return s.Delete(ctx, locator)
}

func (s *blobStore) KeepPosition(ctx context.Context, at store.Position, lower bool) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if !lower {
		if err := at.CheckFollows(s.place.position); err != nil {
			return err
		}
	}
	s.place.position = at
	return nil
}

// PurgeQuarantine finds nothing: what is put aside is gone.
func (s *blobStore) PurgeQuarantine(ctx context.Context, _ time.Time, _ int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	leave()
	return 0, nil
}

func (s *blobStore) Condition() store.Condition {
	leave, err := s.enter(context.Background())
	if err != nil {
		return store.Condition{Fault: err}
	}
	defer leave()
	return store.Condition{Readable: true}
}

func (s *blobStore) Bind(ctx context.Context, metadataID string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if s.place.bound == "" {
		s.place.bound = metadataID
	}
	if s.place.bound != metadataID {
		return store.ErrMismatch
	}
	return nil
}

func (s *blobStore) Close() error {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if !s.closed {
		s.closed, s.place.isOpen = true, false
	}
	return nil
}

var errEnded = fmt.Errorf("%w: writer is closed", store.ErrUnavailable)

type blobWriter struct {
	store   *blobStore
	locator store.Locator
	content bytes.Buffer
	ended   bool
}

func (w *blobWriter) Write(p []byte) (int, error) {
	leave, err := w.store.enter(context.Background())
	if err != nil {
		return 0, err
	}
	defer leave()
	if w.ended {
		return 0, errEnded
	}
	return w.content.Write(p)
}

func (w *blobWriter) Commit(ctx context.Context) (store.Locator, error) {
	leave, err := w.store.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	if w.ended {
		return "", errEnded
	}
	w.ended = true
	if _, taken := w.store.place.blobs[w.locator]; taken {
		return "", fmt.Errorf("%s has a blob", w.locator)
	}
	w.store.place.blobs[w.locator] = committed{content: w.content.Bytes(), modified: time.Now()}
	return w.locator, nil
}

func (w *blobWriter) Abort() error {
	w.ended = true
	return nil
}

// Identity implements store.BlobBackend. The place is its own backend, for every
// root.
func (b *Blobs) Identity(string) string { return fmt.Sprintf("memory %p", b) }

// OpenBlobs implements store.BlobBackend.
func (b *Blobs) OpenBlobs(context.Context, string, *slog.Logger) (store.BlobStore, error) {
	return b.Open()
}

var _ store.BlobBackend = (*Blobs)(nil)
