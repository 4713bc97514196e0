package packs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/marks"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// pack is one file of blobs.
type pack struct {
	number uint64
	path   string
	layout format.Layout

	// mu is held for reading while bytes are read, and for writing by who waits for readers:
	// nobody who writes blobs does, so that a slow disk holds up those that read this pack.
	mu   sync.RWMutex
	file *os.File // to read; nil while it is not open

	marks *marks.Marks

	// table is held while a deletion marks its slot, except for Drop, and by who begins to write.
	table sync.Mutex

	// Of the round in progress.
	nextSlot, nextBlock int
	givenUp             bool // nothing more is written to it
}

func newPack(number uint64, path string, layout format.Layout) *pack {
	return &pack{
		number: number, path: filepath.Join(path, format.FileName(number)), layout: layout,
		marks: marks.New(layout.Slots),
	}
}

// read returns a blob of a size.
func (p *pack) read(file io.ReaderAt, at format.Address, size int64) ([]byte, error) {
	s, err := p.readSlot(file, at)
	if err != nil {
		return nil, err
	}
	if int64(s.Length) != size {
		return nil, fmt.Errorf("%w: blob %s has %d bytes, not %d", store.ErrDamaged, at.Locator(), s.Length, size)
	}
	content, err := p.readContent(file, s)
	if err == nil && format.Sum(content) != s.Sum {
		err = fmt.Errorf("%w: blob %s does not have its checksum", store.ErrDamaged, at.Locator())
	}
	return content, err
}

// readSlot returns the slot of a blob that is there. ErrBlobNotFound, ErrDamaged. Requires
// p.mu.
func (p *pack) readSlot(file io.ReaderAt, at format.Address) (s format.Slot, err error) {
	whole, damaged := p.marks.State(at.Slot)
	if damaged {
		return s, fmt.Errorf("%w: the slot of blob %s does not have its checksum", store.ErrDamaged, at.Locator())
	}
	if !whole {
		return s, store.ErrBlobNotFound
	}
	var raw [format.SlotSize]byte
	if _, err := file.ReadAt(raw[:], int64(at.Slot)*format.SlotSize); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("reading slot: %w", err)
	}
	s, sound := format.DecodeSlot(raw[:])
	if !sound {
		return s, fmt.Errorf("%w: the slot of blob %s does not have its checksum", store.ErrDamaged, at.Locator())
	}
	if s.Nonce != at.Nonce {
		return s, store.ErrBlobNotFound
	}
	return s, nil
}

// readContent returns the bytes that a slot describes.
func (p *pack) readContent(file io.ReaderAt, s format.Slot) ([]byte, error) {
	content := make([]byte, s.Length)
	n, err := file.ReadAt(content, p.layout.At(s.Block))
	if errors.Is(err, io.EOF) && n < len(content) {
		return nil, fmt.Errorf("%w: the file of a pack ends before the content of a blob", store.ErrDamaged)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading content: %w", err)
	}
	return content, nil
}
