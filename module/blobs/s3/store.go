package s3

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

// tuning is what can change while a store is open, besides the settings of the bucket.
type tuning struct {
	grace time.Duration
	link  time.Duration // for how long a link works; zero when downloads are sent
}

// Store is an open prefix of a bucket.
type Store struct {
	identity string // of the backend, for people
	prefix   string
	bucket   *bucket.Bucket
	log      *slog.Logger
	tuned    atomic.Pointer[tuning]

	sequence     atomic.Uint64       // spreads locators over directories
	positioning  sync.Mutex          // guards the object of the position
	quarantining *semaphore.Weighted // of one at a time
}

// open opens the prefix, and makes it one of ours when it is empty. ErrRefused, ErrFormat,
// ErrUnavailable.
func open(ctx context.Context, b *Backend, log *slog.Logger) (*Store, error) {
	s, err := newStore(b, log)
	if err != nil {
		return nil, err
	}
	if err := s.claim(ctx); err != nil {
		return nil, errors.Join(bucket.Refused(err), s.Close())
	}
	s.bucket.Ping()
	s.bucket.Background(s.cleaning)
	return s, nil
}

// newStore returns a store that has asked the server for nothing.
func newStore(b *Backend, log *slog.Logger) (*Store, error) {
	prefix := b.Prefix + "/"
	at, err := bucket.New(b.bucketSettings(), prefix+formatObject, b.UploadMemory, log)
	if err != nil {
		return nil, err
	}
	s := &Store{identity: b.Identity(""), prefix: prefix, bucket: at, log: log, quarantining: semaphore.NewWeighted(1)}
	s.sequence.Store(rand.Uint64())
	s.tuned.Store(b.tuning())
	return s, nil
}

// Folders under the prefix begin with these.
const (
	blobsFolder      = "blobs-"
	uploadsFolder    = "uploads-"
	quarantineFolder = "quarantine-"
)

// under returns the key of a name below the prefix.
func (s *Store) under(names ...string) string { return s.prefix + path.Join(names...) }

// place returns the key of a blob.
func (s *Store) place(locator store.Locator) (string, error) {
	if _, _, err := locator.Split(); err != nil {
		return "", err
	}
	return s.under(blobsFolder + string(locator)), nil
}

// Open implements store.BlobStore.
func (s *Store) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	return s.OpenSection(ctx, locator, size, remote.Whole(size))
}

// OpenSection implements remote.SectionOpener.
func (s *Store) OpenSection(ctx context.Context, locator store.Locator, size int64, want remote.Section) (io.ReadSeekCloser, error) {
	key, err := s.place(locator)
	if err != nil {
		return nil, err
	}
	return s.bucket.Open(ctx, key, size, want)
}

// RedirectURL implements remote.Redirector.
func (s *Store) RedirectURL(ctx context.Context, file store.File, header remote.Header) (string, error) {
	age := s.tuned.Load().link
	if age == 0 {
		return "", nil
	}
	key, err := s.place(file.Locator)
	if err != nil {
		return "", err
	}
	return s.bucket.Link(ctx, key, age, header)
}

// Stat implements store.BlobStore.
func (s *Store) Stat(ctx context.Context, locator store.Locator) (int64, error) {
	key, err := s.place(locator)
	if err != nil {
		return 0, err
	}
	return s.bucket.Size(ctx, key)
}

// Delete implements store.BlobStore.
func (s *Store) Delete(ctx context.Context, locator store.Locator) error {
	key, err := s.place(locator)
	if err != nil {
		return err
	}
	return s.bucket.Remove(ctx, key)
}

// DeleteAll implements remote.BatchDeleter.
func (s *Store) DeleteAll(ctx context.Context, locators []store.Locator) (deleted []store.Locator, err error) {
	at := make(map[string]store.Locator, len(locators))
	keys := make([]string, 0, len(locators))
	for _, locator := range locators {
		key, err := s.place(locator)
		if err != nil {
			return nil, err
		}
		at[key] = locator
		keys = append(keys, key)
	}
	gone, err := s.bucket.RemoveAll(ctx, keys)
	for _, key := range gone {
		deleted = append(deleted, at[key])
	}
	return deleted, err
}

// Walk implements store.BlobStore. The time is the server's.
func (s *Store) Walk(ctx context.Context, fn func(store.Locator, int64, time.Time) error) error {
	folder := s.under(blobsFolder)
	for object, err := range s.bucket.List(ctx, folder, 0) {
		if err != nil {
			return err
		}
		locator := store.Locator(strings.TrimPrefix(object.Key, folder))
		if _, _, err := locator.Split(); err != nil {
			continue
		}
		if err := fn(locator, object.Size, object.Modified); err != nil {
			return err
		}
	}
	return nil
}

// Grace implements remote.Graceful.
func (s *Store) Grace() time.Duration { return s.tuned.Load().grace }

// IsStreaming implements remote.Streaming.
func (*Store) IsStreaming() bool { return true }

// Condition implements store.BlobStore. It is what the last requests met.
func (s *Store) Condition() store.Condition {
	if err := s.bucket.Usable(context.Background()); err != nil {
		return store.Condition{Fault: err}
	}
	fault := s.bucket.Fault()
	return store.Condition{Fault: fault, Readable: fault == nil}
}

// Close implements store.BlobStore. Closing twice is harmless.
func (s *Store) Close() error { return s.bucket.Close() }

var (
	_ store.BlobStore      = (*Store)(nil)
	_ store.Identified     = (*Store)(nil)
	_ remote.SectionOpener = (*Store)(nil)
	_ remote.BatchDeleter  = (*Store)(nil)
	_ remote.Graceful      = (*Store)(nil)
	_ remote.Redirector    = (*Store)(nil)
	_ remote.Streaming     = (*Store)(nil)
	_ remote.Taker         = (*Store)(nil)
)
