package badger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// closeTimeout bounds Close: Badger's can hang.
const closeTimeout = 30 * time.Second

// Store is an open Badger metadata store. Reads go to the database at once;
// every mutation goes through one committer (commit.go).
type Store struct {
	id      string
	claim   *directory.Claim
	db      *badger.DB
	log     *slog.Logger
	reserve atomic.Int64

	// sequence spreads locators over directories; it starts at the next id, so
	// that a restart goes on in the directories being filled.
	sequence atomic.Uint64

	// use is held for reading by every operation and for writing by Close, so
	// that the database is never touched after it is closed.
	use        sync.RWMutex
	closed     bool
	operations chan *operation
	committing sync.WaitGroup
	failed     atomic.Bool // a commit failed: what is stored is unknown

	nextID    uint64                  // the committer's
	commitTxn func(*badger.Txn) error // tests put faults in its place

	mu        sync.Mutex
	uploads   map[registry.Locator]struct{} // under way
	condemned map[registry.Locator]struct{} // and not buried
	graves    []uint64                      // ids of deleted versions with files left, oldest first
}

func newStore(claim *directory.Claim, db *badger.DB, log *slog.Logger) *Store {
	return &Store{
		claim:      claim,
		db:         db,
		log:        log,
		operations: make(chan *operation, queueLength),
		commitTxn:  (*badger.Txn).Commit,
		uploads:    make(map[registry.Locator]struct{}),
		condemned:  make(map[registry.Locator]struct{}),
	}
}

// identify reads the store's ID, or gives a new store one.
func (s *Store) identify() error {
	return s.db.Update(func(txn *badger.Txn) error {
		var record storeRecord
		known, err := get(txn, storeIDKey, &record)
		if err == nil && !known {
			record.id = rand.Text()
			err = txn.Set(storeIDKey, encode(storeIDKey, &record))
		}
		s.id = record.id
		return err
	})
}

// ID implements registry.MetadataStore.
func (s *Store) ID() string { return s.id }

// load reads what is kept in memory: the next id, condemned locators, graves.
func (s *Store) load() error {
	return s.db.View(func(txn *badger.Txn) error {
		ids := idRecord{next: 1}
		if _, err := get(txn, nextIDKey, &ids); err != nil {
			return err
		}
		s.nextID = ids.next
		s.sequence.Store(ids.next)
		scanKeys(txn, condemnedPrefix, func(rest []byte) {
			s.condemned[registry.Locator(rest)] = struct{}{}
		})
		return scan(txn, []byte(gravePrefix), nil, func(key, _ []byte) error {
			id, err := graveID(key)
			s.graves = append(s.graves, id)
			return err
		})
	})
}

// get reads the record under a key. One that is not there is not an error.
func get(txn *badger.Txn, key []byte, record codec) (found bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading record %q: %w", key, err)
	}
	return true, item.Value(func(value []byte) error { return decode(key, value, record) })
}

// view runs a read, unless the store is closed.
func (s *Store) view(ctx context.Context, read func(txn *badger.Txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed {
		return fmt.Errorf("%w: closed", registry.ErrUnavailable)
	}
	return s.db.View(read)
}

// BeginUpload implements registry.MetadataStore.
func (s *Store) BeginUpload(ctx context.Context, _ string, size int64) (registry.Upload, error) {
	if err := ctx.Err(); err != nil {
		return registry.Upload{}, err
	}
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed || s.failed.Load() {
		return registry.Upload{}, s.unavailable()
	}
	if err := checkSpace(s.claim.Path, s.reserve.Load()); err != nil {
		return registry.Upload{}, err
	}
	upload := registry.Upload{Locator: registry.NewLocator(s.sequence.Add(1)), Size: size}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[upload.Locator] = struct{}{}
	return upload, nil
}

// AbandonUpload implements registry.MetadataStore.
func (s *Store) AbandonUpload(_ context.Context, upload registry.Upload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, upload.Locator)
	return nil
}

// Condition implements registry.MetadataStore.
func (s *Store) Condition() registry.Condition {
	s.use.RLock()
	defer s.use.RUnlock()
	condition := registry.Condition{Readable: !s.closed}
	if s.closed || s.failed.Load() {
		condition.Fault = s.unavailable()
	}
	free, err := disk.Free(s.claim.Path)
	if err != nil {
		s.log.Warn("asking for free space", slog.Any("error", err))
	}
	condition.Space = registry.Space{Free: free, Reserve: uint64(s.reserve.Load())}
	return condition
}

// unavailable says why the store takes no mutation. Requires s.use.
func (s *Store) unavailable() error {
	if s.closed {
		return fmt.Errorf("%w: closed", registry.ErrUnavailable)
	}
	return fmt.Errorf("%w: a commit failed; restart to find out what was stored", registry.ErrUnavailable)
}

// Close implements registry.MetadataStore. Closing twice is harmless.
func (s *Store) Close() error {
	s.use.Lock()
	if s.closed {
		s.use.Unlock()
		return nil
	}
	s.closed = true
	close(s.operations)
	s.use.Unlock()
	s.committing.Wait()

	closed := make(chan error, 1)
	go func() { closed <- s.db.Close() }()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case err := <-closed:
		return errors.Join(err, s.claim.Release())
	case <-timeout.C:
		// The lock stays: whatever hangs may still write.
		return fmt.Errorf("closing database: no end after %s", closeTimeout)
	}
}

var _ registry.MetadataStore = (*Store)(nil)
