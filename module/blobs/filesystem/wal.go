package filesystem

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// smallBlob is the most bytes of a blob that is written ahead.
	smallBlob = 64 << 10

	// segmentSize is about how many bytes are written ahead before the files are synced.
	segmentSize = 16 << 20

	// segmentAge is after how long a segment is settled at the latest, and deletedAge
	// after how long once something was deleted, whose bytes may be in it.
	segmentAge = 30 * time.Second
	deletedAge = 5 * time.Second

	// unsettledSegments is how many may wait for their files to be synced. What comes
	// while so many do is not written ahead.
	unsettledSegments = 2
)

// wal is the write-ahead log of small blobs. To sync a small file and its name costs far
// more than to write it: so those that are committed at one moment are written to their
// places, and once more to a segment of the log, which is synced once for all of them.
// When a segment is full or old it is settled: the files are synced together, and the
// segment is removed. What a crash leaves of segments is written out anew before the
// store opens (wal_recover.go).
//
// Whatever keeps a blob from being written ahead, short of an error after which nobody
// knows what is on the disk, has its file synced as a large one's is.
type wal struct {
	limits tuning
	path   string
	fsys   disk.FS
	space  *space
	log    *slog.Logger

	// settle makes files durable, with their names; rewrite does that for those of a
	// segment that are still there, after writing them anew.
	settle  func(locators []store.Locator) error
	rewrite func(segment string) error

	mu        sync.Mutex
	gathering *walRound   // nil: none
	expiry    *time.Timer // of the segment; nil: none
	expires   time.Time

	turn    chan struct{} // semaphore of the one writer; guards the fields below
	segment *segment      // nil: none
	number  uint64        // of the last
	pause   time.Time     // none is begun before
	closed  bool

	// epoch counts the syncs that failed, of files or of names: what was written before
	// one may be lost, whichever segment it is in. syncing is held for reading while
	// names are synced for others, until that is counted.
	epoch   atomic.Uint64
	syncing sync.RWMutex

	unsettled  atomic.Int32 // segments that are sealed and there
	background sync.WaitGroup

	settling sync.Mutex  // held while segments are settled
	left     []string    // segments that could not be
	retry    *time.Timer // of settling them; nil: none
	retired  bool
}

// tuning is what tests have otherwise.
type tuning struct {
	small, segment int64
	age            time.Duration
	inline         bool // settle a segment before the append that fills it returns
}

var defaultTuning = tuning{small: smallBlob, segment: segmentSize, age: segmentAge}

// walRound is the entries that are written with one sync.
type walRound struct {
	entries []entry
	done    chan struct{}
	err     error // valid once done is closed
}

// errNotAhead: the log does not take it; nothing is in it.
var errNotAhead = errors.New("not written ahead")

// append returns when an entry is durable in the log, with those that came meanwhile.
// errNotAhead when it must be made durable otherwise. After any other error it may be in
// the log or not.
func (l *wal) append(e entry) error {
	if len(e.content) > smallBlob {
		return errNotAhead // more than was announced
	}
	round, leading := l.join(e)
	if !leading {
		<-round.done
		return round.err
	}
	defer l.takeTurn()()
	runtime.Gosched() // lets other commits join the round
	l.depart()
	round.err = l.write(round.entries)
	close(round.done)
	return round.err
}

// join finds the round to write with. Who comes first leads it.
func (l *wal) join(e entry) (round *walRound, leading bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if leading = l.gathering == nil; leading {
		l.gathering = &walRound{done: make(chan struct{})}
	}
	l.gathering.entries = append(l.gathering.entries, e)
	return l.gathering, leading
}

// depart closes the gathering round: who comes from now on needs the next.
func (l *wal) depart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gathering = nil
}

// write requires l.turn.
func (l *wal) write(entries []entry) error {
	if err := l.prepare(weigh(entries)); err != nil {
		return err
	}
	end := store.Attend(l.log, "writing to the log of small files")
	err := l.segment.append(entries)
	end()
	if err != nil {
		l.seal() // what comes after a write that failed would not be found
		return fmt.Errorf("writing ahead: %w", directory.Full(err))
	}
	if l.segment.size >= l.limits.segment {
		l.seal()
	}
	return nil
}

// prepare has a segment with room for some bytes. Requires l.turn.
func (l *wal) prepare(bytes int64) error {
	if l.closed {
		return errClosed
	}
	if l.segment != nil && l.segment.size > 0 && l.segment.size+bytes > l.limits.segment {
		l.seal()
	}
	if l.segment != nil {
		return nil
	}
	if l.unsettled.Load() >= unsettledSegments || time.Now().Before(l.pause) {
		return errNotAhead
	}
	s, err := l.create()
	if err != nil {
		l.pause = time.Now().Add(l.limits.age) // neither asking the disk nor complaining for each file
		l.log.Warn("small files are synced one by one for a while: the log for them cannot be written", slog.Any("error", err))
		return errNotAhead
	}
	l.segment = s
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expires = time.Now().Add(l.limits.age)
	l.expiry = time.AfterFunc(l.limits.age, func() { l.expire(s) })
	return nil
}

// hasten has the segment settled soon: what was deleted may be in it.
func (l *wal) hasten() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expiry != nil && time.Until(l.expires) > deletedAge && l.expiry.Stop() {
		l.expires = time.Now().Add(deletedAge)
		l.expiry.Reset(deletedAge)
	}
}

// expire seals a segment that is old.
func (l *wal) expire(s *segment) {
	defer l.takeTurn()()
	if l.segment == s {
		l.seal()
	}
}

// seal ends the segment and has it settled. Requires l.turn.
func (l *wal) seal() {
	s := l.segment
	l.segment = nil
	l.unsettled.Add(1)
	l.mu.Lock()
	l.expiry.Stop()
	l.expiry = nil
	l.mu.Unlock()
	if l.limits.inline {
		l.finish(s)
		return
	}
	l.background.Go(func() { l.finish(s) })
}

// takeTurn waits for who writes, and returns what ends the turn.
func (l *wal) takeTurn() (end func()) {
	l.turn <- struct{}{}
	return func() { <-l.turn }
}

// end seals the last segment.
func (l *wal) end() {
	defer l.takeTurn()()
	l.closed = true
	if l.segment != nil {
		l.seal()
	}
}

// close settles what is in the log. Appends fail from now on.
func (l *wal) close() {
	l.end()
	l.background.Wait()
	l.retire()
}
