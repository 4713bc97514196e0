package badger

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// The journal makes changes durable, and the database follows behind it, with several
// batches in one synced transaction. Reads see what it does not have yet (layer.go),
// and a start after a crash replays it.

// persistDelay is how long layers gather before the database gets them.
const persistDelay = 50 * time.Millisecond

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// persistLoop gives the database what is ahead of it.
func (s *Store) persistLoop() {
	for {
		select {
		case <-s.ahead:
			s.awaitMore()
			s.persistAhead()
		case <-s.committed:
			s.persistAhead()
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

// persistAhead gives the database all that is ahead of it, unless it has failed: then
// the journal is replayed.
func (s *Store) persistAhead() {
	s.persister.Lock()
	defer s.persister.Unlock()
	_ = s.persistAll() // it is logged, and the store opened again
}

// persistAll is persistAhead, and an error when that has just failed. Requires s.persister.
func (s *Store) persistAll() error {
	for s.opened != nil && !s.opened.db.hasFailed() {
		db := s.opened.db
		takeBack := s.descriptors.Lend() // Badger may begin a memtable
		end := waiting.Attend(s.log, "giving the database what the journal has")
		layers, err := s.persist(db)
		end()
		takeBack()
		if err != nil {
			return db.fail(err)
		}
		if len(layers) == 0 {
			return nil
		}
		s.remember(layers)
		db.followed(layers)
		s.commits.Add(1)
		signal(s.due)
		s.space.followMemtable()
	}
	return nil
}

// remember tells the reaper's memory what the database has for certain: nobody deletes
// bytes before.
func (s *Store) remember(layers []*layer) {
	for _, l := range layers {
		for _, key := range l.waiting {
			waiting, suffix := s.backlogOf(key)
			waiting.add(suffix)
		}
		for _, key := range l.done {
			waiting, suffix := s.backlogOf(key)
			waiting.remove(suffix)
		}
	}
}

// backlogOf returns the backlog that a key belongs to, and what follows the prefix.
func (s *Store) backlogOf(key string) (*backlog, string) {
	if suffix, found := strings.CutPrefix(key, gravePrefix); found {
		return &s.graves, suffix
	}
	if suffix, found := strings.CutPrefix(key, tombPrefix); found {
		return &s.tombs, suffix
	}
	return &s.condemned, strings.TrimPrefix(key, condemnedPrefix)
}

// awaitPersisted has the database get what is committed now, and waits until it has.
func (s *Store) awaitPersisted(ctx context.Context) error {
	o, err := s.current()
	if err != nil {
		return err
	}
	signal(s.urgent)
	return o.db.awaitPersisted(ctx)
}

// awaitRoom waits until the database is not too far behind for another commit, or will
// get nothing any more. Nobody who reads waits for it. errSlow.
func (s *Store) awaitRoom(l *limit) error {
	s.use.RLock()
	o := s.opened // of a store that is being closed too: what was queued is committed
	s.use.RUnlock()
	if o == nil {
		return nil
	}
	wait := l.wait(s.home)
	ctx, cancel := context.WithTimeoutCause(context.Background(), wait, errSlow)
	defer cancel()
	if err := o.db.awaitRoom(ctx); errors.Is(err, errSlow) {
		return l.pass(wait)
	}
	return nil // or the store has failed, and refuses
}

// refuse has changes refused until the store is opened again.
func (s *Store) refuse() {
	s.failed.Store(true)
	signal(s.wake)
}

// onFailure has the store opened again. A next sync of the database may succeed
// without what the failed one should have stored, and the journal has it: opening again
// makes it so.
func (s *Store) onFailure(cause error) {
	s.log.Error("the database failed; until it is opened again and checked, changes are refused, and so are reads that need it", slog.Any("error", cause))
	s.refuse()
}
