package badger

import (
	"context"
	"log/slog"
	"time"
)

// The journal makes changes durable, and the database follows behind it, with several
// batches in one synced transaction. Reads see what it does not have yet (layer.go),
// and a start after a crash replays it.

// storeDelay is how long the database is let wait for more.
const storeDelay = 10 * time.Millisecond

// follow has the database follow a commit: at once when much is ahead of it.
func (s *Store) follow() {
	signal(s.ahead)
	if s.opened.db.isFarBehind() {
		signal(s.urgent)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// storeLoop gives the database what is ahead of it.
func (s *Store) storeLoop() {
	for {
		select {
		case <-s.ahead:
			s.awaitMore()
			s.storeAhead()
		case <-s.committed:
			s.storeAhead()
			return
		}
	}
}

func (s *Store) awaitMore() {
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.urgent:
	case <-s.committed:
	}
}

// storeAhead gives the database all that is ahead of it, unless the store has failed:
// then the journal is replayed.
func (s *Store) storeAhead() {
	s.storer.Lock()
	defer s.storer.Unlock()
	for !s.failed.Load() {
		layers, err := s.store(s.opened.db)
		if err != nil {
			// Whether it was stored is unknown, and a next sync may succeed without
			// having stored it. The journal has it: opening again makes it so.
			s.fail("committing", err)
			return
		}
		if len(layers) == 0 {
			return
		}
		s.remember(layers)
		s.commits.Add(1)
		s.room.followMemtable()
	}
}

// remember brings memory up to date with what the database has for certain: nobody
// deletes bytes before.
func (s *Store) remember(layers []*layer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range layers {
		for _, locator := range l.condemned {
			s.condemned[locator] = struct{}{}
		}
		for _, locator := range l.buried {
			delete(s.condemned, locator)
		}
		s.graves = append(s.graves, l.opened...)
		for _, id := range l.emptied {
			s.graves = removeID(s.graves, id)
		}
	}
}

// awaitStored waits until the database has what is committed now.
func (s *Store) awaitStored(ctx context.Context) error {
	s.use.RLock()
	if s.closed || s.opened == nil {
		defer s.use.RUnlock()
		return s.unavailable()
	}
	db := s.opened.db
	s.use.RUnlock()
	return db.awaitStored(ctx)
}

// fail stops all changes until the store is opened again.
func (s *Store) fail(what string, err error) {
	s.log.Error("a change may or may not be stored; refusing changes until the store is opened again and checked",
		slog.String("failed", what), slog.Any("error", err))
	s.refuse()
}

// refuse has changes refused from now on. Requires s.committer or s.storer.
func (s *Store) refuse() {
	s.failed.Store(true)
	s.opened.db.stop()
	s.wakeWatch()
}
