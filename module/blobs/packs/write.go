package packs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// writing is the pack that rounds are written to.
type writing struct {
	closed bool // no round is written any more

	current *pack // that takes blobs without an address; nil: another begins

	pack     *pack // that is open to be written; nil: none
	file     disk.File
	prepared int64 // the end of what was written with zeros, or with content

	buffer []byte // of what is written at once
}

// writeStep bounds the buffer: it has no more than this and a blob.
const writeStep = 1 << 20

// writeRound writes blobs, each with those after it that go to the same pack.
func (s *Store) writeRound(blobs []*blob) {
	slices.SortStableFunc(blobs, compareBlobs)
	for len(blobs) > 0 {
		p, err := s.target(blobs[0])
		if err != nil {
			blobs[0].err = err
			blobs = blobs[1:]
			continue
		}
		n := p.fitting(blobs)
		if err := s.append(p, blobs[:n]); err != nil {
			fail(blobs[:n], err)
		}
		blobs = blobs[n:]
	}
}

// compareBlobs has blobs that have their address last, in the order of their addresses.
func compareBlobs(a, b *blob) int {
	switch {
	case !a.addressed && !b.addressed:
		return 0
	case !a.addressed:
		return -1
	case !b.addressed:
		return 1
	}
	return cmp.Or(cmp.Compare(a.at.Pack, b.at.Pack), cmp.Compare(a.at.Slot, b.at.Slot))
}

// target returns the pack for a blob, open to be written.
func (s *Store) target(b *blob) (*pack, error) {
	if b.addressed {
		return s.targetAt(b)
	}
	if p := s.current; p != nil && p.hasRoom(b) {
		if err := s.enter(p); !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	s.current = nil // it is full, or was removed
	s.last++
	p, err := s.begin(s.last)
	if err == nil {
		s.current = p
	}
	return p, err
}

// targetAt is target for a blob that has its address.
func (s *Store) targetAt(b *blob) (p *pack, err error) {
	if p = s.get(b.at.Pack); p == nil {
		p, err = s.begin(b.at.Pack)
	} else {
		err = s.enter(p)
	}
	if err != nil {
		return nil, err
	}
	if !p.marks.IsFree(b.at.Slot) {
		return nil, fmt.Errorf("writing blob %s: %w", b.at.Locator(), fs.ErrExist)
	}
	if !p.hasRoom(b) {
		return nil, fmt.Errorf("writing blob %s: the pack is full", b.at.Locator())
	}
	return p, nil
}

func (p *pack) hasRoom(b *blob) bool {
	return !p.givenUp && (b.addressed || p.nextSlot < p.layout.Slots) && p.nextBlock+format.Blocks(len(b.content)) <= p.layout.Blocks
}

// fitting is how many blobs, from the first on, go to a pack at once.
func (p *pack) fitting(blobs []*blob) int {
	slot, block := p.nextSlot, p.nextBlock
	for i, b := range blobs {
		fits := block+format.Blocks(len(b.content)) <= p.layout.Blocks
		if b.addressed {
			fits = fits && b.at.Pack == p.number && (i == 0 || blobs[i-1].addressed && b.at.Slot > blobs[i-1].at.Slot && p.marks.IsFree(b.at.Slot))
		} else {
			fits = fits && slot < p.layout.Slots
		}
		if i > 0 && !fits {
			return i
		}
		slot++
		block += format.Blocks(len(b.content))
	}
	return len(blobs)
}

// append writes blobs to the pack that is open, and syncs them.
func (s *Store) append(p *pack, blobs []*blob) error {
	last := p.nextBlock
	for _, b := range blobs {
		last += format.Blocks(len(b.content))
	}
	if err := s.prepare(p, p.layout.At(last)); err != nil {
		return fmt.Errorf("preparing room for small files: %w", directory.NotWritten(err))
	}
	encoded, err := s.writeContent(p, blobs)
	if err != nil {
		// No slot tells of it. Its blocks are written over, or given back.
		return fmt.Errorf("writing small files: %w", directory.NotWritten(err))
	}
	for _, b := range blobs {
		if !b.addressed {
			b.at.Pack, b.at.Slot = p.number, p.nextSlot
		}
		p.nextSlot = max(p.nextSlot, b.at.Slot+1)
	}
	p.nextBlock = last
	if err = s.writeSlots(blobs, encoded); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.disown(p, blobs, err)
		return fmt.Errorf("syncing small files: %w", directory.NotWritten(err))
	}
	s.staged = nil // they were synced too
	p.marks.Set(slotsOf(blobs)...)
	s.raise(p.number)
	return nil
}

// prepare writes zeros up to an end, and for what comes after it where there is room. The
// next sync makes them durable, with what is written over them. A later round in these
// blocks changes nothing that the file system keeps of the file, so that its sync writes
// the bytes and no more: that takes half the time.
func (s *Store) prepare(p *pack, end int64) error {
	if end <= s.prepared {
		return nil
	}
	ahead := min(end+p.layout.Step, p.layout.At(p.layout.Blocks))
	if !s.hasRoom(ahead - s.prepared) {
		ahead = end
	}
	for s.prepared < ahead {
		s.buffer = append(s.buffer[:0], make([]byte, min(ahead-s.prepared, writeStep))...)
		if _, err := s.file.WriteAt(s.buffer, s.prepared); err != nil {
			return err
		}
		s.prepared += int64(len(s.buffer))
	}
	return nil
}

// writeContent writes the content of blobs, one after the other from the next block on,
// and returns their slots.
func (s *Store) writeContent(p *pack, blobs []*blob) (slots []byte, err error) {
	// The sweep may not take a blob for older than it is.
	now := time.Now().Add(time.Second)
	block, from := p.nextBlock, p.nextBlock
	s.buffer = s.buffer[:0]
	for i, b := range blobs {
		if !b.addressed {
			b.at.Nonce = format.NewNonce()
		}
		slots = format.Slot{Nonce: b.at.Nonce, Block: block, Length: len(b.content), Written: now, Sum: format.Sum(b.content)}.Encode(slots)
		s.buffer = append(s.buffer, b.content...)
		block += format.Blocks(len(b.content))
		s.buffer = append(s.buffer, make([]byte, (block-from)*format.BlockSize-len(s.buffer))...)
		if len(s.buffer) == 0 || len(s.buffer) < writeStep && i < len(blobs)-1 {
			continue
		}
		if _, err := s.file.WriteAt(s.buffer, p.layout.At(from)); err != nil {
			return nil, err
		}
		from, s.buffer = block, s.buffer[:0]
	}
	return slots, nil
}

// writeSlots writes the slots of blobs, those that follow each other at once.
func (s *Store) writeSlots(blobs []*blob, slots []byte) error {
	for len(blobs) > 0 {
		n := 1
		for n < len(blobs) && blobs[n].at.Slot == blobs[0].at.Slot+n {
			n++
		}
		if _, err := s.file.WriteAt(slots[:n*format.SlotSize], int64(blobs[0].at.Slot)*format.SlotSize); err != nil {
			return err
		}
		blobs, slots = blobs[n:], slots[n*format.SlotSize:]
	}
	return nil
}

// disown marks the slots of blobs as those of deleted ones, if that can be, and gives the pack up.
func (s *Store) disown(p *pack, blobs []*blob, why error) {
	s.log.Error("a pack of small files could not be written or synced; another one is begun", slog.String("pack", p.path), slog.Any("error", why))
	s.mark(blobs, format.DeletedSlot)
	s.giveUp(p)
}

// mark writes the slots of blobs that nobody was told of.
func (s *Store) mark(blobs []*blob, slot [format.SlotSize]byte) {
	if err := s.writeSlots(blobs, bytes.Repeat(slot[:], len(blobs))); err != nil {
		s.log.Warn("emptying slots of a pack", slog.Any("error", err))
	}
}

// giveUp writes nothing more to a pack, of which a sync failed. What is staged in it is lost.
func (s *Store) giveUp(p *pack) {
	p.givenUp = true
	if s.current == p {
		s.current = nil
	}
	if s.pack != p {
		return
	}
	s.lose()
	if err := s.leave(); err != nil {
		s.log.Warn("closing a pack", slog.Any("error", err))
	}
}

func slotsOf(blobs []*blob) (slots []int) {
	for _, b := range blobs {
		slots = append(slots, b.at.Slot)
	}
	return slots
}
