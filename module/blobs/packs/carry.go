package packs

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// carrying is what one sync makes durable: blobs, and lines of a journal that name them.
type carrying struct {
	joined atomic.Bool // a journal has its lines carried: blobs wait for it

	staged []*blob // written to the pack that is open, and not synced
	lines  int64   // the end of the lines in the pack that is open
	latest uint64  // the number of the last line that was carried

	named, naming []format.Address // of the lines that were carried last, and of those in progress

	newest atomic.Pointer[pack] // that has the newest lines; nil: none
}

// stage writes a blob without a sync, and tells whether it did. It does where nothing has to
// be made for the blob before: else a round does that.
func (s *Store) stage(b *blob) bool {
	if !s.joined.Load() || len(b.content) > format.Largest {
		return false
	}
	s.pen.Lock()
	defer s.pen.Unlock()
	if s.held || s.closed || s.pack == nil || s.pack != s.current || !s.pack.hasRoom(b) {
		return false
	}
	p := s.pack
	end := p.nextBlock + format.Blocks(len(b.content))
	if p.layout.At(end) > s.prepared {
		return false
	}
	slot, err := s.writeContent(p, []*blob{b})
	if err != nil {
		return false
	}
	b.at.Pack, b.at.Slot = p.number, p.nextSlot
	p.nextSlot, p.nextBlock = b.at.Slot+1, end
	if err := s.writeSlots([]*blob{b}, slot); err != nil {
		return false // if it was written all the same, nobody names it
	}
	p.mu.Lock()
	p.set(b.at.Slot)
	p.mu.Unlock()
	b.content = nil
	s.staged = append(s.staged, b)
	return true
}

// lose empties what is staged: nobody is told that it is durable. The slots are as if they were
// never used. So lines that were not synced and name them do not count, whatever the disk has.
func (s *Store) lose() {
	p := s.pack
	p.mu.Lock()
	for _, b := range s.staged {
		p.clear(b.at.Slot)
	}
	p.mu.Unlock()
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
	err = c.file.Sync()
	if err = s.endCarrying(c, err); err != nil {
		return false, err
	}
	s.raise(c.pack.number)
	if c.at < 0 {
		return false, nil
	}
	if before := s.newest.Swap(c.pack); before != nil && before != c.pack {
		if err := s.removeEmpty(before); err != nil {
			s.log.Warn("removing a pack without blobs", slog.Any("error", err))
		}
	}
	return true, nil
}

// carriage is a sync of a pack with lines.
type carriage struct {
	pack  *pack
	file  disk.File // nil: there is nothing to sync
	blobs []*blob   // that it makes durable
	at    int64     // where the lines are; below 0: nowhere
	last  uint64    // the number of the last line
}

// beginCarrying writes the lines behind those that the pack has. They begin anew where the
// journal has all that were carried.
func (s *Store) beginCarrying(first, synced uint64, lines []byte, named []store.Locator) (c carriage, err error) {
	s.pen.Lock()
	defer s.pen.Unlock()
	addresses, err := s.addresses(named)
	if err != nil || len(s.staged) == 0 {
		return c, err
	}
	if err := s.enter(s.pack); err != nil {
		s.disown(s.pack, nil, err)
		return c, fmt.Errorf("looking for a pack of small files: %w", err)
	}
	c = carriage{pack: s.pack, file: s.file, blobs: s.staged, at: s.lines}
	s.staged = nil
	e := format.Entry{First: first, Lines: lines}
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
	if _, err := c.file.WriteAt(encoded, s.layout.Table()+c.at); err != nil {
		s.staged = c.blobs
		s.disown(s.pack, nil, err)
		return carriage{}, fmt.Errorf("writing lines of the journal to a pack: %w", err)
	}
	s.lines, s.naming = c.at+int64(len(encoded)), addresses
	return c, nil
}

// endCarrying notes what came of a sync.
func (s *Store) endCarrying(c carriage, err error) error {
	s.pen.Lock()
	defer s.pen.Unlock()
	if err != nil {
		s.staged, s.naming = append(c.blobs, s.staged...), nil
		s.disown(s.pack, nil, err)
		return fmt.Errorf("syncing small files with lines of the journal: %w", err)
	}
	if c.at >= 0 {
		s.latest, s.named, s.naming = c.last, s.naming, nil
	}
	return nil
}

// isNamedLast tells whether the lines that were carried last name a blob, or those in progress.
// After a power cut they count only if it is whole, or its deletion is durable.
func (s *Store) isNamedLast(locator store.Locator) bool {
	s.pen.Lock()
	defer s.pen.Unlock()
	at, err := format.Find(locator)
	return err == nil && (slices.Contains(s.named, at) || slices.Contains(s.naming, at))
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
		if p := s.get(at.Pack); p == nil || at.Slot < s.layout.Slots && p.isFree(at.Slot) {
			return nil, fmt.Errorf("%w: blob %s was lost with others that could not be synced", store.ErrUnavailable, locator)
		}
		addresses = append(addresses, at)
	}
	return addresses, nil
}
