package integrity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// DefaultScrubRate is how many bytes a second the scrub reads unless it is told
// otherwise.
const DefaultScrubRate = 8 << 20

const (
	// scrubInterval is the time from the start of one scrub to that of the next.
	scrubInterval = 7 * 24 * time.Hour
	// scrubPoll bounds how long the clock is believed: it may jump.
	scrubPoll = time.Hour
	// scrubRetryInterval is when a scrub goes on that could not.
	scrubRetryInterval = time.Minute

	// Progress is saved after so many blobs, or so long.
	saveBlobs    = 1_000
	saveInterval = time.Minute
	// dutyInterval is how often a process says that it scrubs.
	dutyInterval = time.Minute
)

// scrubber is what a registry knows of its passes over all blobs. One reads at a
// time: the background's, or a Verify, for which the background makes room.
type scrubber struct {
	readBlobs, readBytes atomic.Int64 // since the registry was opened

	verify chan struct{} // holds a token while a Verify reads

	mu        sync.Mutex
	rate      int64         // bytes a second, 0 when off
	changed   chan struct{} // closed and replaced when what is below or the rate changes
	verifying int           // Verify calls that read or wait
	preempt   func()        // ends the turn of the background
	ended     chan struct{} // closed when that turn is over
	reading   bool
	last      store.Scrub // as far as it came
	fault     error       // why the last turn could not go on
}

func (s *scrubber) init(rate int64) {
	s.verify = make(chan struct{}, 1)
	s.changed = make(chan struct{})
	s.rate = effectiveRate(rate)
}

// effectiveRate is bytes a second, 0 when off.
func effectiveRate(rate int64) int64 {
	if rate == 0 {
		return DefaultScrubRate
	}
	return max(rate, 0)
}

// change runs a change of what is guarded, and wakes those who wait for one.
func (s *scrubber) change(apply func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	apply()
	if s.preempt != nil && (s.rate == 0 || s.verifying > 0) {
		s.preempt()
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// pace returns the rate, and what is closed when it changes.
func (s *scrubber) pace() (rate int64, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rate, s.changed
}

// turn waits until the background may read. The returned context is cancelled when the
// turn ends; the caller calls leave when it has stopped reading.
func (s *scrubber) turn(ctx context.Context) (turn context.Context, leave func(), err error) {
	for ctx.Err() == nil {
		s.mu.Lock()
		if s.rate > 0 && s.verifying == 0 {
			turn, cancel := context.WithCancel(ctx)
			ended := make(chan struct{})
			s.preempt, s.ended = cancel, ended
			s.mu.Unlock()
			return turn, func() { cancel(); close(ended) }, nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil, nil, ctx.Err()
}

// progress says how far the pass in progress has come.
func (s *scrubber) progress(scrub store.Scrub, reading bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.reading = scrub, reading
}

// SetScrub changes how many bytes a second the background reads to compare every
// blob with its digest. Zero is DefaultScrubRate; below zero it does not read. It
// takes effect at once.
func (k *Keeper) SetScrub(rate int64) {
	k.scrub.change(func() { k.scrub.rate = effectiveRate(rate) })
}

// scrubbing is the background's work. It reads every blob, at a rate and once in an interval,
// and goes on after a restart where it was.
func (k *Keeper) scrubbing(ctx context.Context) {
	_ = k.loadScrub(ctx) // tried again before it is needed
	for {
		turn, leave, err := k.scrub.turn(ctx)
		if err != nil {
			return
		}
		wait, err := k.scrubDue(turn)
		preempted := turn.Err() != nil
		leave()
		if preempted {
			continue
		}
		k.noteScrubFault(err)
		if err != nil {
			wait = scrubRetryInterval
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (k *Keeper) noteScrubFault(err error) {
	k.scrub.mu.Lock()
	defer k.scrub.mu.Unlock()
	if err != nil && k.scrub.fault == nil {
		k.log.Error("scrubbing; trying again", slog.Duration("every", scrubRetryInterval), slog.Any("error", err))
	}
	k.scrub.fault = err
}

// loadScrub learns what is damaged, and how far the last scrub came: that of an earlier process,
// or of another one.
func (k *Keeper) loadScrub(ctx context.Context) error {
	if err := k.lookAtDamage(ctx); err != nil {
		return err
	}
	kept, err := k.metadata.LastScrub(ctx)
	if err != nil {
		return fmt.Errorf("reading the last scrub: %w", err)
	}
	k.scrub.mu.Lock()
	defer k.scrub.mu.Unlock()
	if isLater(kept, k.scrub.last, k.now()) {
		k.scrub.last = kept
	}
	return nil
}

// isLater tells whether the scrub that the store keeps is later than the one that is known, or
// the same one at a later time.
func isLater(kept, known store.Scrub, now time.Time) bool {
	switch {
	case known.Started.IsZero():
		return true
	case kept.Started.After(now):
		return false // the clock was set back since
	case kept.Started.Equal(known.Started):
		return kept.Blobs > known.Blobs || !kept.Finished.IsZero()
	}
	return kept.Started.After(known.Started)
}

// scrubDue scrubs when that is due, and says when to come back.
func (k *Keeper) scrubDue(ctx context.Context) (time.Duration, error) {
	if ours, err := k.isForUs(ctx); err != nil || !ours {
		return scrubRetryInterval, err
	}
	if err := k.loadScrub(ctx); err != nil {
		return 0, err
	}
	k.scrub.mu.Lock()
	scrub := k.scrub.last
	k.scrub.mu.Unlock()
	if wait := untilDue(scrub, k.now()); wait > 0 {
		return min(wait, scrubPoll), nil
	}
	if scrub.Started.IsZero() || !scrub.Finished.IsZero() {
		scrub = store.Scrub{Started: k.wallClock()}
	}
	err := k.readAll(ctx, scrub)
	if errors.Is(err, errElsewhere) {
		return scrubRetryInterval, nil
	}
	return 0, err
}

// untilDue is how long to wait for a scrub to begin or to go on.
func untilDue(last store.Scrub, now time.Time) time.Duration {
	// A pass that began in the future tells of a clock that was set back.
	if last.Started.IsZero() || last.Finished.IsZero() || now.Before(last.Started) {
		return 0
	}
	return last.Started.Add(scrubInterval).Sub(now)
}

// wallClock is the time without what only this process can compare.
func (k *Keeper) wallClock() time.Time { return k.now().UTC().Round(0) }
