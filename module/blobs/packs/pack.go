package packs

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// pack is one file of blobs.
type pack struct {
	number uint64
	path   string
	layout Layout

	// mu is held for reading while bytes are read, and for writing while a blob is kept
	// from readers.
	mu      sync.RWMutex
	file    *os.File // to read; nil while it is not open
	live    []uint64 // a bit for each slot with a blob
	damaged map[int]bool
	busy    int  // blobs that are being deleted
	written bool // by rounds: the file may not be removed
	removed bool

	// table is held while the mark of a deletion is written, and by who begins to write blobs.
	table sync.Mutex

	// Of the round in progress.
	nextSlot, nextBlock int
	givenUp             bool // nothing more is written to it
}

func newPack(number uint64, path string, layout Layout) *pack {
	return &pack{
		number: number, path: filepath.Join(path, fileName(number)), layout: layout,
		live: make([]uint64, (layout.Slots+63)/64), damaged: make(map[int]bool),
	}
}

// has requires p.mu.
func (p *pack) has(slot int) bool {
	return slot < p.layout.Slots && p.live[slot/64]&(1<<(slot%64)) != 0
}

// set requires p.mu, for writing.
func (p *pack) set(slot int)   { p.live[slot/64] |= 1 << (slot % 64) }
func (p *pack) clear(slot int) { p.live[slot/64] &^= 1 << (slot % 64) }

// count requires p.mu.
func (p *pack) count() (blobs int) {
	for _, word := range p.live {
		blobs += bits.OnesCount64(word)
	}
	return blobs + len(p.damaged)
}

// read returns a blob of a size.
func (p *pack) read(file io.ReaderAt, at address, size int64) ([]byte, error) {
	s, err := p.readSlot(file, at)
	if err != nil {
		return nil, err
	}
	if int64(s.length) != size {
		return nil, fmt.Errorf("%w: blob %s has %d bytes, not %d", store.ErrDamaged, at.locator(), s.length, size)
	}
	content, err := p.readContent(file, s)
	if err == nil && crc32.Checksum(content, castagnoli) != s.sum {
		err = fmt.Errorf("%w: blob %s does not have its checksum", store.ErrDamaged, at.locator())
	}
	return content, err
}

// readSlot returns the slot of a blob that is there. ErrBlobNotFound, ErrDamaged. Requires
// p.mu.
func (p *pack) readSlot(file io.ReaderAt, at address) (s slot, err error) {
	if p.damaged[at.slot] {
		return s, fmt.Errorf("%w: the slot of blob %s does not have its checksum", store.ErrDamaged, at.locator())
	}
	if !p.has(at.slot) {
		return s, store.ErrBlobNotFound
	}
	var raw [slotSize]byte
	if _, err := file.ReadAt(raw[:], int64(at.slot)*slotSize); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("reading slot: %w", err)
	}
	s, sound := decodeSlot(raw[:])
	if !sound {
		return s, fmt.Errorf("%w: the slot of blob %s does not have its checksum", store.ErrDamaged, at.locator())
	}
	if s.nonce != at.nonce {
		return s, store.ErrBlobNotFound
	}
	return s, nil
}

// readContent returns the bytes that a slot describes.
func (p *pack) readContent(file io.ReaderAt, s slot) ([]byte, error) {
	content := make([]byte, s.length)
	n, err := file.ReadAt(content, p.layout.at(s.block))
	if errors.Is(err, io.EOF) && n < len(content) {
		return nil, fmt.Errorf("%w: the file of a pack ends before the content of a blob", store.ErrDamaged)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading content: %w", err)
	}
	return content, nil
}
