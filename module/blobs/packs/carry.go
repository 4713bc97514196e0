package packs

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// carrying is what one sync makes durable: blobs, and lines of a journal that name them.
type carrying struct {
	joined atomic.Bool   // a journal has its lines carried: blobs wait for it
	id     string        // of the store whose lines they are
	turn   chan struct{} // has one element while a blob is being staged

	staged []*blob // written to the pack that is open, and not synced
	lines  int64   // the end of the lines in the pack that is open
	latest uint64  // the number of the last line that was carried

	naming        sync.Mutex       // guards what follows, and is held for no time
	named, coming []format.Address // of the lines that were carried last, and of those in progress

	newest atomic.Pointer[pack] // that has the newest lines; nil: none
}

// errNotStaged: something has to be made for the blob before, such as a pack, by a round.
var errNotStaged = errors.New("not staged")

// stage writes a blob without a sync. After an error nobody names it, whatever was written.
func (s *Store) stage(b *blob) error {
	s.pen.Lock()
	defer s.pen.Unlock()
	blocks := format.Blocks(len(b.content))
	if s.held || s.closed || s.pack == nil || s.pack != s.current || !s.pack.hasRoom(b) || s.layout.At(s.pack.nextBlock+blocks) > s.prepared {
		return errNotStaged
	}
	p := s.pack
	slot, err := s.writeContent(p, []*blob{b})
	if err != nil {
		return errNotStaged
	}
	b.at.Pack, b.at.Slot = p.number, p.nextSlot
	p.nextSlot, p.nextBlock = p.nextSlot+1, p.nextBlock+blocks
	if err := s.writeSlots([]*blob{b}, slot); err != nil {
		return errNotStaged
	}
	p.marks.Set(b.at.Slot)
	b.content = nil
	s.staged = append(s.staged, b)
	return nil
}

// lose empties what is staged: nobody is told that it is durable. The slots are as if they were
// never used. So lines that were not synced and name them do not count, whatever the disk has.
func (s *Store) lose() {
	s.pack.marks.Clear(slotsOf(s.staged)...)
	s.mark(s.staged, [format.SlotSize]byte{})
	s.staged = nil
}

// Carry implements journal.Carrier: what is staged becomes durable, and with it the lines,
// unless there is no place for them, or nothing is staged.
func (s *Store) Carry(first, synced uint64, lines []byte, named []store.Locator) (carried bool, err error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	c, err := s.beginCarrying(first, synced, lines, named)
	if err != nil || c.file == nil {
		return false, err
	}
	if err := c.file.Sync(); err != nil {
		return false, s.failCarrying(c, err)
	}
	s.endCarrying(c)
	s.raise(c.pack.number)
	if c.before != nil {
		s.removeSoon(c.before)
	}
	return c.at >= 0, nil
}

// carriage is a sync of a pack with lines.
type carriage struct {
	pack   *pack
	file   disk.File // nil: there is nothing to sync
	blobs  []*blob   // that it makes durable
	named  []store.Locator
	at     int64  // where the lines are; below 0: nowhere
	last   uint64 // the number of the last line
	before *pack  // that had the newest lines; nil: none, or nothing begins anew
}

// beginCarrying writes the lines behind those that the pack has. They begin anew where the
// journal has all that were carried.
func (s *Store) beginCarrying(first, synced uint64, lines []byte, named []store.Locator) (c carriage, err error) {
	s.pen.Lock()
	defer s.pen.Unlock()
	if synced >= s.latest {
		s.name(nil, nil) // the journal has them
	}
	addresses, err := s.addresses(named)
	if err != nil || len(s.staged) == 0 {
		return c, err
	}
	if err := s.enter(s.pack); err != nil {
		s.disown(s.pack, nil, err)
		return c, fmt.Errorf("looking for a pack of small files: %w", err)
	}
	c = carriage{pack: s.pack, file: s.file, blobs: s.staged, named: named, at: s.lines}
	s.staged = nil
	e := format.Entry{Store: s.id, First: first, Lines: lines}
	for _, at := range addresses {
		if at.Pack == c.pack.number {
			e.Slots = append(e.Slots, uint16(at.Slot))
		}
	}
	encoded := e.Encode()
	if c.last = e.Last(); c.at+int64(len(encoded)) > s.layout.Lines {
		if c.at = 0; s.latest > synced || int64(len(encoded)) > s.layout.Lines {
			c.at = -1
			return c, nil
		}
	}
	s.name(s.named, addresses)
	if c.at == 0 { // the journal has what other packs have: from here on this one is asked
		c.before = s.newest.Swap(c.pack)
	}
	s.lines = c.at + int64(len(encoded))
	// What ends the lines is written too: older ones may follow.
	encoded = append(encoded, make([]byte, min(format.EntryHeader, s.layout.Lines-s.lines))...)
	if _, err := c.file.WriteAt(encoded, s.layout.Table()+c.at); err != nil {
		s.staged = c.blobs
		s.disown(s.pack, nil, err)
		return carriage{}, fmt.Errorf("writing lines of the journal to a pack: %w", err)
	}
	return c, nil
}

func (s *Store) endCarrying(c carriage) {
	s.pen.Lock()
	defer s.pen.Unlock()
	if c.at >= 0 {
		s.latest = c.last
		s.name(s.coming, nil)
	}
}

// failCarrying loses what was staged. Where no line was written, that is an error only for lines
// that name some of it.
func (s *Store) failCarrying(c carriage, why error) error {
	s.pen.Lock()
	defer s.pen.Unlock()
	s.staged = append(c.blobs, s.staged...)
	s.disown(s.pack, nil, why)
	if c.at < 0 {
		_, err := s.addresses(c.named)
		return err
	}
	return fmt.Errorf("syncing small files with lines of the journal: %w", why)
}

// name notes which blobs are named by the lines that were carried last, and by those in progress.
func (s *Store) name(last, coming []format.Address) {
	s.naming.Lock()
	defer s.naming.Unlock()
	s.named, s.coming = last, coming
}

// isNamedLast tells whether the lines that were carried last name a blob, or those in progress.
// After a power cut they count only if it is whole, or its deletion is durable.
func (s *Store) isNamedLast(locator store.Locator) bool {
	s.naming.Lock()
	defer s.naming.Unlock()
	at, err := format.Find(locator)
	return err == nil && (slices.Contains(s.named, at) || slices.Contains(s.coming, at))
}

// addresses returns where the named blobs are that are in packs. An error when one was lost
// that had been staged.
func (s *Store) addresses(named []store.Locator) (addresses []format.Address, err error) {
	for _, locator := range named {
		if !format.Owns(locator) {
			continue
		}
		at, err := format.Find(locator)
		if err != nil {
			return nil, err
		}
		if p := s.get(at.Pack); p == nil || at.Slot < s.layout.Slots && p.marks.IsFree(at.Slot) {
			return nil, fmt.Errorf("%w: blob %s was lost with others that could not be synced", store.ErrUnavailable, locator)
		}
		addresses = append(addresses, at)
	}
	return addresses, nil
}
