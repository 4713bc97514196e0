package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/journal/feed"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/descriptors"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/rounds"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Store is an open Badger metadata store. Reads go to the database at once;
// every mutation goes through one committer (commit.go) and its journal, and then to
// the database (persist.go). When it is not known whether a change was stored, the
// store opens its files again (watch.go).
type Store struct {
	*home
	*feed.Feed
	id string

	// use is held for reading by every operation and for writing by who changes what
	// is open, so that the database is never touched after it is closed.
	use    sync.RWMutex
	opened *opened // nil while the store is opened again; held by use, or by committer and persister together
	closed atomic.Bool
	away   atomic.Bool // what is open is being taken away: nobody begins to use it

	astray   atomic.Pointer[error]            // which of its files was removed or replaced; nil for none
	looked   time.Time                        // when that was looked at; for watch
	fault    atomic.Pointer[error]            // why it could not be opened again, when last tried
	progress atomic.Pointer[waiting.Progress] // of opening it again

	rounds      *rounds.Rounds[*operation]
	room        limit           // of waiting for the database; of the round in progress
	committer   sync.Mutex      // held while a batch is committed, and by reopening
	compactions limit           // of waiting for them; held by committer
	committed   chan struct{}   // closed when no batch comes any more
	persister   sync.Mutex      // held while the database is written to, and by reopening
	ahead       chan struct{}   // something is ahead of the database
	urgent      chan struct{}   // and somebody waits
	failed      atomic.Bool     // a commit failed: what is stored is unknown
	flushing    bool            // it is opened again, and not durable yet; for watch
	tried       time.Time       // when it was opened again last, or tried in vain; for watch
	pause       time.Duration   // how long it is not opened after that; for watch
	obstacle    string          // why it did not open the last time; for watch
	told        waiting.Lasting // why it cannot be opened again; for watch

	// The two steps of making a change durable. Tests put faults in their place.
	appendTo func(*journal.Journal, []store.Change) (store.Position, error)
	persist  func(*database) ([]*layer, error)

	cache *cache

	checkpoints  sync.Mutex    // held while one is made
	checkpointed atomic.Uint64 // the last change that one stands for, as far as is known
	due          chan struct{} // one may be
	rot          atomic.Pointer[rot]
	lostDrafts   atomic.Pointer[error] // drafts that the last look could not read; nil for none

	background sync.WaitGroup
	life       context.Context // ends with Close
	end        context.CancelFunc
	wake       chan struct{}
	commits    atomic.Uint64
	batches    store.Timer

	mu        sync.Mutex
	snapshots map[*snapshot]struct{} // not closed

	reaping   sync.Mutex // held while the next of what follows is looked for
	condemned backlog    // locators that are not buried
	graves    backlog    // deleted versions with files left
	tombs     backlog    // deleted packages with versions left
}

// openStore opens the store in a directory that is claimed.
func (h *home) openStore(ctx context.Context) (*Store, error) {
	o, err := h.open(ctx)
	if err != nil {
		return nil, directory.OpenFault(err)
	}
	s := &Store{
		home:      h,
		id:        o.id,
		opened:    o,
		committed: make(chan struct{}),
		ahead:     make(chan struct{}, 1),
		urgent:    make(chan struct{}, 1),
		due:       make(chan struct{}, 1),
		appendTo:  (*journal.Journal).Append,
		persist:   (*database).persist,
		cache:     newCache(),
		wake:      make(chan struct{}, 1),
		snapshots: make(map[*snapshot]struct{}),
		condemned: backlog{prefix: condemnedPrefix},
		graves:    backlog{prefix: gravePrefix},
		tombs:     backlog{prefix: tombPrefix},
	}
	s.rounds = rounds.Weighed(batchWeight, func(o *operation) int { return o.weight }, s.work)
	s.Feed = feed.New(h.path(), h.fsys, s.journalNow)
	s.Announce(o.state.position.Sequence)
	s.load()
	if err := o.awaitFlush(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("loading database in %s: %w", h.path(), err), o.close(ctx))
	}
	s.life, s.end = context.WithCancel(context.Background())
	if s.readOnly {
		s.failed.Store(true)
		return s, nil
	}
	o.db.failed = s.onFailure
	if err := s.removeAsides(); err != nil {
		s.log.Warn("what was put aside stays", slog.Any("error", err))
	}
	s.space.keepBallast()
	s.descriptors.Hold()
	s.writeChecked()
	s.background.Go(s.persistLoop)
	s.background.Go(s.watch)
	if !s.inline {
		s.background.Go(s.checkpointing)
	}
	return s, nil
}

// ID implements store.MetadataStore.
func (s *Store) ID() string { return s.id }

// load forgets what was known of the database that was open before.
func (s *Store) load() {
	s.cache.clear()
	s.condemned.reset()
	s.graves.reset()
	s.tombs.reset()
}

// Admit implements store.MetadataStore.
func (s *Store) Admit(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return firstError(s.descriptors.ForUpload, func() error { return s.space.forMore(0) })
}

// Clock implements store.MetadataStore.
func (s *Store) Clock() time.Time { return time.Now() }

// usable reports why the store takes no mutation, if it does not.
func (s *Store) usable(ctx context.Context) error {
	err := firstError(ctx.Err, s.enterToChange)
	if err == nil {
		s.use.RUnlock()
	}
	return err
}

// enterToChange is enter, for who changes something.
func (s *Store) enterToChange() error {
	if s.failed.Load() {
		return s.unavailable()
	}
	if astray := s.astray.Load(); astray != nil {
		return *astray
	}
	_, err := s.enter()
	return err
}

// unavailable says why the store takes no mutation.
func (s *Store) unavailable() error {
	if s.closed.Load() {
		return errClosed
	}
	if s.readOnly {
		return errReadOnly
	}
	if progress := s.progress.Load(); progress != nil {
		return fmt.Errorf("%w: opening it again: %s", store.ErrUnavailable, *progress)
	}
	if fault := s.fault.Load(); fault != nil {
		return fmt.Errorf("%w: opening it again: %w", store.ErrUnavailable, *fault)
	}
	return fmt.Errorf("%w: a change failed, and whether it was stored is being found out", store.ErrUnavailable)
}

var errClosed = fmt.Errorf("%w: closed", store.ErrUnavailable)

// Condition implements store.MetadataStore.
func (s *Store) Condition() store.Condition {
	var condition store.Condition
	if o, err := s.current(); err != nil {
		condition.Fault = err
	} else {
		condition.Readable = !o.db.hasFailed()
		condition.Journal = o.journal.Position()
	}
	if lost := s.lostDrafts.Load(); lost != nil {
		condition.Damage = *lost
	}
	if rot := s.rot.Load(); rot != nil {
		condition.Damage = errors.Join(rot.err, condition.Damage)
	}
	if astray := s.astray.Load(); astray != nil && condition.Fault == nil {
		condition.Fault = *astray
	}
	if s.failed.Load() {
		condition.Fault = s.unavailable()
	}
	free, err := s.fsys.Free(s.path())
	if err != nil {
		s.log.Warn("asking for free space", slog.Any("error", err))
	}
	condition.Space = directory.Space(free, s.space.reserve.Load())
	if free := s.descriptors.Free(); free != disk.Unlimited {
		condition.Space.FreeDescriptors, condition.Space.ReserveDescriptors = free, descriptors.Spare
	}
	return condition
}

// Close implements store.MetadataStore. It waits for Badger, however long that
// takes. Closing twice is harmless.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.end()
	s.awaitUsers() // whoever has entered has a place in a round then, and nobody enters any more
	s.rounds.Drain()
	close(s.committed)
	s.background.Wait()
	s.endSnapshots()
	var err error
	if s.opened != nil {
		err = s.opened.close(context.Background())
	}
	return s.home.release(err)
}

// awaitUsers returns when nobody uses what is open who has entered before.
func (s *Store) awaitUsers() {
	s.use.Lock()
	defer s.use.Unlock()
}

// journalNow returns the journal that is open. ErrUnavailable.
func (s *Store) journalNow() (*journal.Journal, error) {
	o, err := s.current()
	if err != nil {
		return nil, err
	}
	return o.journal, nil
}

var (
	_ store.MetadataStore = (*Store)(nil)
	_ store.Changes       = (*Store)(nil)
)
