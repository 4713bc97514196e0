package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/exit"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// The disk is looked at often while changes are committed, since another program
	// may fill it, and seldom otherwise.
	busyInterval = 20 * time.Millisecond
	idleInterval = time.Second

	// A store that failed is opened again at once, and then at this interval: so often the
	// disk is asked while it takes no writes. Opening reads much, and a store that opens may
	// fail again: each opening doubles the interval, up to the longest, unless another error
	// is in its way than before. A store that stays good for so long is opened again at once.
	retryInterval = time.Second / 4
	longestRetry  = 10 * time.Second

	// A disk that fails takes a write now and then. It must take so many in a row.
	probeWrites = 8
	probeFile   = "probe"
)

// watch keeps the ballast, and opens a store again that has failed.
func (s *Store) watch() {
	timer := time.NewTimer(s.idle)
	defer timer.Stop()
	seen := s.commits.Load()
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.wake:
			s.recover()
		case <-timer.C:
			exit.Survive()
			s.space.keepBallast()
			s.descriptors.Hold()
			s.lookAtFiles()
			s.recover()
			s.writeChecked()
		}
		interval := s.idle
		now := s.commits.Load()
		switch {
		case s.flushing:
			interval = busyInterval
		case s.failed.Load():
			interval = s.retry
		case now != seen:
			interval = busyInterval
		}
		seen = now
		timer.Reset(interval)
	}
}

// lookAtFiles finds out, once a second, whether the files that the store has open are
// those that it would find again. While they are not, changes are refused; reads go on.
func (s *Store) lookAtFiles() {
	if time.Since(s.looked) < s.idle {
		return
	}
	s.looked = time.Now()
	err := firstError(s.claim.Check, s.checkJournalFile)
	before := s.astray.Load()
	switch {
	case err != nil && before == nil:
		s.log.Error("files were removed or replaced under the store; refusing changes until they are back", slog.Any("error", err))
	case err == nil && before != nil:
		s.log.Info("the files of the store are back; changes are taken")
	}
	var astray *error
	if err != nil {
		astray = &err
	}
	s.astray.Store(astray)
}

func (s *Store) checkJournalFile() error {
	s.committer.Lock()
	defer s.committer.Unlock()
	if s.opened == nil {
		return nil
	}
	return s.opened.journal.Check()
}

// writeChecked keeps, now and then, what a start would otherwise have to find out. What a
// compaction lost can bring back what was deleted, so that reads find it: that must
// not last.
func (s *Store) writeChecked() {
	o, err := s.enter()
	if err != nil {
		return
	}
	defer s.use.RUnlock()
	if s.failed.Load() || s.trust() != nil {
		return
	}
	if err := o.ledger.WriteChecked(); err != nil {
		s.log.Debug("keeping that the database is checked", slog.Any("error", err))
	}
}

// recover opens again what failed, once the disk takes writes: the journal then says
// what was stored. While only the journal failed, reads go on.
func (s *Store) recover() {
	if !s.failed.Load() {
		s.calm()
		return
	}
	s.endCompactions()
	broken := s.opened == nil || s.opened.db.hasFailed()
	s.flushing = s.flushing && !broken
	if !s.flushing && time.Since(s.tried) < s.pause {
		if s.fault.Load() == nil {
			s.explain(errAgain)
		}
		return
	}
	var err error
	switch {
	case broken:
		err = s.openAgain(s.space.forOpening, s.reopen)
	case !s.flushing:
		err = s.openAgain(s.space.forChange, s.reopenJournal)
	}
	if err == nil {
		err = s.resume()
	}
	switch {
	case s.flushing || s.life.Err() != nil:
	case err == nil:
		s.fault.Store(nil)
		s.tried = time.Now()
		s.log.Info("the store is opened again and checked; changes are taken")
	default:
		s.explain(err)
	}
}

var errAgain = errors.New("it failed again soon after it was opened")

// explain says why the store is not open, and when it is tried again.
func (s *Store) explain(err error) {
	interval := max(s.retry, (s.pause - time.Since(s.tried)).Round(time.Millisecond))
	if s.told.IsNews(err.Error()) {
		s.log.Warn("the store cannot be opened again yet", slog.Duration("retry", interval), slog.Any("error", err))
	}
	err = &waiting.Retried{Err: err, Interval: interval}
	s.fault.Store(&err)
}

// calm forgets the failures of a store that has stayed good since.
func (s *Store) calm() {
	if time.Since(s.tried) >= longestRetry {
		s.pause, s.told = 0, waiting.Lasting{}
	}
}

// openAgain opens again what failed, once the disk takes writes, which costs little to ask.
// Another directory in the place of the store's is neither opened nor written.
func (s *Store) openAgain(room, reopen func() error) error {
	if err := firstError(s.claim.Check, room, s.probe); err != nil {
		return err
	}
	err := reopen()
	s.tried, s.pause = time.Now(), min(max(s.retry, 2*s.pause), longestRetry)
	if err != nil && err.Error() != s.obstacle {
		s.obstacle, s.pause = err.Error(), s.retry // it got further, or the disk fails now and then
	}
	return err
}

// resume takes changes again, once what the store holds is durable. Reads go on until
// then.
func (s *Store) resume() error {
	flushed, err := s.opened.db.isFlushed()
	if err != nil {
		return err
	}
	s.committer.Lock()
	defer s.committer.Unlock()
	if err := s.opened.db.good(); err != nil {
		return err // it has failed meanwhile
	}
	s.flushing = !flushed
	if flushed {
		s.failed.Store(false)
	}
	return nil
}

// probe finds out whether the disk takes durable writes, before anything else is closed
// for it: reads that can go on do until then.
func (s *Store) probe() error {
	name := filepath.Join(s.path(), probeFile)
	for range probeWrites {
		if err := disk.WriteFile(s.fsys, name, "written to see whether the disk takes it\n"); err != nil {
			return fmt.Errorf("probing the disk: %w", err)
		}
	}
	return s.fsys.Remove(name)
}

// reopenJournal opens the journal again under a database that is good, and makes the
// changes that the journal has of the append whose outcome was unknown: one batch.
func (s *Store) reopenJournal() error {
	s.committer.Lock()
	defer s.committer.Unlock()
	o := s.opened
	if err := o.journal.Reopen(); err != nil {
		return s.journalFault(err)
	}
	behind, err := o.isBehind()
	if err != nil || !behind {
		return err
	}
	b := newBatch(o)
	defer b.end()
	err = o.journal.Read(s.life, b.state.position, o.journal.Position().Sequence, func(_ []byte, change store.Change, chain store.Digest) error {
		b.state.position = store.Position{Sequence: change.Sequence, Chain: chain}
		return contradiction(b.apply(change))
	})
	switch {
	case errors.Is(err, journal.ErrHistories):
		return errHistories
	case errors.Is(err, errDatabase):
		return o.db.fail(err)
	case err != nil:
		return fmt.Errorf("making the changes of an append whose outcome was unknown: %w", err)
	}
	s.show(b)
	return nil
}

// reopen closes and opens what the store has open, however long that takes. Meanwhile
// the store is not available.
func (s *Store) reopen() error {
	defer s.progress.Store(nil)
	ctx := waiting.WithProgress(s.life, func(p waiting.Progress) { s.progress.Store(&p) })
	if err := s.closeFailed(ctx); err != nil {
		return err
	}
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	o.db.failed = s.onFailure
	s.persister.Lock()
	defer s.persister.Unlock()
	s.use.Lock()
	defer s.use.Unlock()
	s.committer.Lock()
	defer s.committer.Unlock()
	s.load()
	s.opened = o
	s.Announce(o.state.position.Sequence)
	return nil
}

// endCompactions closes a database with a compaction that failed, whether the disk takes
// writes or not: Badger would merge the same tables again and again. Reads go without it.
func (s *Store) endCompactions() {
	if s.opened != nil && s.opened.ledger.Failure() != nil {
		_ = s.closeFailed(s.life) // only the end of the store's life
	}
}

func (s *Store) closeFailed(ctx context.Context) error {
	old, err := s.takeAway(ctx)
	if err != nil || old == nil {
		return err
	}
	if err := old.close(ctx); err != nil {
		s.log.Warn("closing a store that failed", slog.Any("error", err))
	}
	return nil
}

// takeAway leaves the store with nothing open, and returns what it had, which nobody
// uses any more. Whoever comes meanwhile does not wait.
func (s *Store) takeAway(ctx context.Context) (*opened, error) {
	s.persister.Lock()
	defer s.persister.Unlock()
	s.away.Store(true)
	defer s.away.Store(false)
	if err := poll(ctx, func() (bool, error) { return s.use.TryLock(), nil }); err != nil {
		return nil, err
	}
	defer s.use.Unlock()
	s.committer.Lock()
	defer s.committer.Unlock()
	s.endSnapshots()
	old := s.opened
	s.opened = nil
	return old, nil
}
