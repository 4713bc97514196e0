package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

// tuning is what can change while a store is open.
type tuning struct {
	partSize int64
	timeout  time.Duration
	grace    time.Duration
	redirect *redirect // nil when downloads are sent
}

// Store is an open prefix of a bucket.
type Store struct {
	bucket, prefix string
	log            *slog.Logger
	transport      *http.Transport
	memory         *memory
	health         health

	connected atomic.Pointer[minio.Core]
	tuned     atomic.Pointer[tuning]

	closed      atomic.Bool
	writing     context.Context // ends when the store is closed; readers go on
	stopWriting context.CancelCauseFunc
	background  sync.WaitGroup

	sequence    atomic.Uint64 // spreads locators over directories
	positioning sync.Mutex    // guards the object of the position

	quarantining sync.Mutex
}

func (s *Store) client() *minio.Core { return s.connected.Load() }

func (s *Store) tuning() *tuning { return s.tuned.Load() }

// open opens the prefix, and makes it one of ours when it is empty. ErrRefused, ErrFormat,
// ErrUnavailable.
func open(ctx context.Context, b *Backend, log *slog.Logger) (*Store, error) {
	s, err := newStore(b, log)
	if err != nil {
		return nil, err
	}
	if err := s.claim(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.background.Go(s.ping)
	s.background.Go(s.cleaning)
	return s, nil
}

// newStore returns a store that has asked the server for nothing.
func newStore(b *Backend, log *slog.Logger) (*Store, error) {
	s := &Store{
		bucket: b.Bucket, prefix: b.prefixed(), log: log, transport: newTransport(),
		memory: newMemory(b.UploadMemory),
	}
	s.writing, s.stopWriting = context.WithCancelCause(context.Background())
	s.sequence.Store(rand.Uint64())
	return s, s.adjust(b)
}

// adjust gives the store the settings of a backend.
func (s *Store) adjust(b *Backend) error {
	client, err := b.newClient(b.at, s.transport)
	if err != nil {
		return err
	}
	tuned := &tuning{partSize: b.PartSize, timeout: time.Duration(b.Timeout), grace: time.Duration(b.Grace)}
	if b.Redirect != nil {
		public, err := b.newClient(b.Redirect.at, s.transport)
		if err != nil {
			return err
		}
		tuned.redirect = &redirect{client: public, age: time.Duration(b.Redirect.Age)}
	}
	s.connected.Store(client)
	s.tuned.Store(tuned)
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	return ctx.Err()
}

// Folders under the prefix.
const (
	blobsFolder      = "blobs"
	uploadsFolder    = "uploads"
	quarantineFolder = "quarantine"
)

// under returns the key of a name below the prefix.
func (s *Store) under(names ...string) string { return s.prefix + path.Join(names...) }

// place returns the key of a blob.
func (s *Store) place(locator store.Locator) (string, error) {
	if _, _, err := locator.Split(); err != nil {
		return "", err
	}
	return s.under(blobsFolder, string(locator)), nil
}

// Stat implements store.BlobStore.
func (s *Store) Stat(ctx context.Context, locator store.Locator) (int64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	key, err := s.place(locator)
	if err != nil {
		return 0, err
	}
	return s.stat(ctx, key)
}

func (s *Store) stat(ctx context.Context, key string) (size int64, err error) {
	err = s.request(ctx, "asking for an object", func(ctx context.Context, client *minio.Core) error {
		info, err := client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
		size = info.Size
		return err
	})
	return size, s.missing(ctx, key, err)
}

// missing turns errAbsent into ErrBlobNotFound, when a list of the bucket says the same, and
// another one has what is always there: an answer of something that is no S3 server, or an
// empty bucket in the place of the right one, is no word on an object.
func (s *Store) missing(ctx context.Context, key string, err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	if err = s.absent(ctx, key, err); !errors.Is(err, store.ErrBlobNotFound) {
		return err
	}
	there, listErr := s.isListed(ctx, s.under(formatObject))
	switch {
	case listErr != nil:
		return listErr
	case !there:
		return fmt.Errorf("%w: the bucket does not have %s, which is always there: %v", store.ErrUnavailable, s.under(formatObject), err)
	}
	return err
}

// absent is missing under a prefix that may be empty.
func (s *Store) absent(ctx context.Context, key string, err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	listed, listErr := s.isListed(ctx, key)
	switch {
	case listErr != nil:
		return listErr
	case listed:
		return fmt.Errorf("%w: the object is listed: %v", store.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %v", store.ErrBlobNotFound, err)
}

// isListed tells whether a list of the bucket has a key.
func (s *Store) isListed(ctx context.Context, key string) (listed bool, err error) {
	err = s.list(ctx, key, 1, func(object minio.ObjectInfo) error {
		listed = object.Key == key
		return errEnough
	})
	return listed, err
}

// Delete implements store.BlobStore.
func (s *Store) Delete(ctx context.Context, locator store.Locator) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	key, err := s.place(locator)
	if err != nil {
		return err
	}
	return s.remove(ctx, key)
}

// remove deletes an object. An absent one is not an error.
func (s *Store) remove(ctx context.Context, key string) error {
	err := s.request(ctx, "deleting an object", func(ctx context.Context, client *minio.Core) error {
		return client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	})
	if errors.Is(s.missing(ctx, key, err), store.ErrBlobNotFound) {
		return nil
	}
	return err
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
	gone, err := s.removeAll(ctx, keys)
	for _, key := range gone {
		deleted = append(deleted, at[key])
	}
	return deleted, err
}

// removeAll deletes objects, a thousand in a request, and returns the keys of those that are
// gone.
func (s *Store) removeAll(ctx context.Context, keys []string) (gone []string, err error) {
	err = s.request(ctx, "deleting objects", func(ctx context.Context, client *minio.Core) error {
		results, err := client.RemoveObjectsWithIter(ctx, s.bucket, func(yield func(minio.ObjectInfo) bool) {
			for _, key := range keys {
				if !yield(minio.ObjectInfo{Key: key}) {
					return
				}
			}
		}, minio.RemoveObjectsOptions{})
		if err != nil {
			return err
		}
		for result := range results {
			if result.Err != nil && minio.ToErrorResponse(result.Err).Code != minio.NoSuchKey {
				err = result.Err
				continue
			}
			gone = append(gone, result.ObjectName)
		}
		return err
	})
	return gone, err
}

// Grace implements remote.Graceful.
func (s *Store) Grace() time.Duration { return s.tuning().grace }

// Condition implements store.BlobStore. It is what the last requests met.
func (s *Store) Condition() store.Condition {
	if err := s.usable(context.Background()); err != nil {
		return store.Condition{Fault: err}
	}
	fault := s.health.fault()
	return store.Condition{Fault: fault, Readable: fault == nil}
}

// Close implements store.BlobStore. Closing twice is harmless.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stopWriting(errStopped)
	s.background.Wait()
	s.transport.CloseIdleConnections()
	return nil
}

var (
	_ store.BlobStore      = (*Store)(nil)
	_ remote.SectionOpener = (*Store)(nil)
	_ remote.BatchDeleter  = (*Store)(nil)
	_ remote.Graceful      = (*Store)(nil)
	_ remote.Redirector    = (*Store)(nil)
	_ io.ReadSeekCloser    = (*reader)(nil)
)
