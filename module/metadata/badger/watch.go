package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

const (
	// The disk is looked at often while changes are committed, since another program
	// may fill it, and seldom otherwise.
	busyInterval = 20 * time.Millisecond
	idleInterval = time.Second

	// A store that failed is tried again at this interval.
	retryInterval = time.Second

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
		case <-s.stop:
			return
		case <-s.wake:
			s.recover()
		case <-timer.C:
			s.room.balance()
			s.recover()
			s.mark()
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

// mark keeps, now and then, what a start would otherwise have to find out. What a
// compaction lost can bring back what was deleted, so that reads find it: that must
// not last.
func (s *Store) mark() {
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed || s.opened == nil || s.failed.Load() || s.trust() != nil {
		return
	}
	if err := s.opened.ledger.mark(); err != nil {
		s.log.Debug("marking the database as checked", slog.Any("error", err))
	}
}

func (s *Store) wakeWatch() { signal(s.wake) }

// recover opens a failed store again: the journal then says what was stored. Reads
// go on until that begins, which is only when the disk takes writes.
func (s *Store) recover() {
	if !s.failed.Load() {
		return
	}
	var err error
	if !s.flushing || s.opened.lost.Load() {
		s.flushing = false
		err = firstError(s.probe, s.reopen)
	}
	if err == nil {
		err = s.resume()
	}
	if s.flushing || errors.Is(err, errClosed) {
		return
	}
	if err != nil {
		s.log.Warn("the store cannot be opened again yet", slog.Any("error", err))
		return
	}
	s.log.Info("the store is opened again and checked; changes are taken")
}

// resume takes changes again, once what the store holds is durable. Reads go on until
// then.
func (s *Store) resume() error {
	flushed, err := s.opened.isFlushed()
	if err != nil {
		return err
	}
	s.committer.Lock()
	defer s.committer.Unlock()
	if s.opened.db.isStopped() {
		return errNotWritten // a read has found a loss meanwhile
	}
	s.flushing = !flushed
	if flushed {
		s.failed.Store(false)
	}
	return nil
}

// probe finds out whether the disk takes durable writes, before anything is closed
// for it: reads go on until then.
func (s *Store) probe() error {
	if err := s.room.forOpening(); err != nil {
		return err
	}
	name := filepath.Join(s.path(), probeFile)
	for range probeWrites {
		if err := disk.WriteFile(s.fsys, name, "written to see whether the disk takes it\n"); err != nil {
			return fmt.Errorf("probing the disk: %w", err)
		}
	}
	return s.fsys.Remove(name)
}

// reopen closes and opens what the store has open. Reads wait meanwhile.
func (s *Store) reopen() error {
	s.storer.Lock()
	defer s.storer.Unlock()
	if err := s.storeAll(); err != nil { // what failed may have been the journal
		return err // reads go on
	}
	s.use.Lock()
	defer s.use.Unlock()
	s.committer.Lock()
	defer s.committer.Unlock()
	if s.closed || errors.Is(s.fault, errHangs) {
		return s.unavailable()
	}
	s.endSnapshots()
	if s.opened != nil {
		err := s.opened.close()
		s.opened = nil
		if errors.Is(err, errHangs) {
			s.fault = fmt.Errorf("%w; restart Caddy", err)
			return s.fault
		}
		if err != nil {
			s.log.Warn("closing a store that failed", slog.Any("error", err))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o, err := s.open(ctx)
	if s.fault = err; err != nil {
		return err
	}
	s.load()
	s.opened = o
	return nil
}
