package packs

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
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
	given               bool // up: nothing more is written to it
}

// Layout says how much fits into a pack. Packs can only be read with the number of slots
// that they were made with.
type Layout struct {
	Slots, Blocks int
	// Step is how many bytes are prepared at once.
	Step int64
	// Open is how many packs are open to be read.
	Open int
}

func (l Layout) table() int64 {
	return int64(l.Slots*slotSize+blockSize-1) / blockSize * blockSize
}

// at is where a block begins.
func (l Layout) at(block int) int64 { return l.table() + int64(block)*blockSize }

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
func (p *pack) read(file io.ReaderAt, at place, size int64) ([]byte, error) {
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
func (p *pack) readSlot(file io.ReaderAt, at place) (s slot, err error) {
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

// acquire opens the file to read it, if it is not open, and holds p.mu for reading until
// release is called. ErrBlobNotFound when the pack was removed.
func (p *pack) acquire(opened *opened) (file *os.File, release func(), err error) {
	for {
		p.mu.RLock()
		if p.removed {
			p.mu.RUnlock()
			return nil, nil, store.ErrBlobNotFound
		}
		if p.file != nil {
			return p.file, p.mu.RUnlock, nil
		}
		p.mu.RUnlock()
		if err := p.open(opened); err != nil {
			return nil, nil, err
		}
	}
}

func (p *pack) open(opened *opened) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil || p.removed {
		return nil
	}
	file, err := disk.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its pack is gone: %w", store.ErrBlobNotFound, err)
	}
	if err != nil {
		return fmt.Errorf("opening a pack: %w", directory.Full(err))
	}
	p.file = file
	opened.add(p)
	return nil
}

// close closes what is open to be read.
func (p *pack) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		_ = p.file.Close() // it was only read
		p.file = nil
	}
}

// opened keeps the number of packs that are open to be read small.
type opened struct {
	most int

	mu    sync.Mutex
	packs []*pack // the one that was opened first is first
}

// add requires that the caller has the lock of p, and of no other pack: another one is
// closed by a goroutine of its own.
func (o *opened) add(p *pack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.packs = append(o.packs, p)
	if len(o.packs) > o.most {
		first := o.packs[0]
		o.packs = append(o.packs[:0], o.packs[1:]...)
		go first.close()
	}
}

func (o *opened) forget(p *pack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, one := range o.packs {
		if one == p {
			o.packs = append(o.packs[:i], o.packs[i+1:]...)
			return
		}
	}
}
