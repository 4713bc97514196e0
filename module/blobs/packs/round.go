package packs

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// rounds gathers blobs that are written with one sync.
type rounds struct {
	gathers   sync.Mutex
	gathering *round // nil: none

	turn   chan struct{} // semaphore of the one who writes
	closed bool          // guarded by turn
}

// round is the blobs that are written at once.
type round struct {
	blobs []*blob
	done  chan struct{}
}

// blob is one that is being written.
type blob struct {
	content []byte
	at      place
	placed  bool  // at says where it has to be
	err     error // valid once the round is done
}

var errClosed = fmt.Errorf("%w: the store is closed", store.ErrUnavailable)

// Put writes a blob of at most Largest bytes. When it returns nil the blob survives a power
// cut. ErrNoSpace, ErrUnavailable after Close. After any error nobody has the blob.
func (s *Store) Put(content []byte) (store.Locator, error) {
	b := &blob{content: content}
	s.write(b)
	if b.err != nil {
		return "", b.err
	}
	return b.at.locator(), nil
}

// PutAt is Put under a locator that Owns knows. fs.ErrExist when its slot has a blob.
func (s *Store) PutAt(locator store.Locator, content []byte) error {
	at, err := find(locator)
	if err != nil {
		return err
	}
	if at.slot >= s.layout.Slots {
		return fmt.Errorf("no pack has the slot of locator %q: %w", string(locator), store.ErrDamaged)
	}
	b := &blob{content: content, at: at, placed: true}
	s.write(b)
	return b.err
}

// write returns when a blob was written, with those that came meanwhile. Who comes first
// writes the round.
func (s *Store) write(b *blob) {
	if len(b.content) > Largest {
		b.err = errors.New("a blob is too large for a pack")
		return
	}
	r, leading := s.join(b)
	if !leading {
		<-r.done
		return
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	runtime.Gosched() // lets others join the round
	s.depart()
	defer close(r.done)
	if s.closed {
		fail(r.blobs, errClosed)
		return
	}
	defer waiting.Attend(s.log, "writing small files")()
	s.writeRound(r.blobs)
}

// join finds the round to write with.
func (s *Store) join(b *blob) (r *round, leading bool) {
	s.gathers.Lock()
	defer s.gathers.Unlock()
	if leading = s.gathering == nil; leading {
		s.gathering = &round{done: make(chan struct{})}
	}
	s.gathering.blobs = append(s.gathering.blobs, b)
	return s.gathering, leading
}

// depart closes the gathering round: who comes from now on needs the next.
func (s *Store) depart() {
	s.gathers.Lock()
	defer s.gathers.Unlock()
	s.gathering = nil
}

func fail(blobs []*blob, err error) {
	for _, b := range blobs {
		b.err = err
	}
}

// end lets no round be written any more.
func (s *Store) end() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closed = true
	return s.leave()
}
