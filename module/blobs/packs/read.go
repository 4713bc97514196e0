package packs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// reading calls fn with an open pack that has an address, and that nothing is deleted from
// meanwhile. ErrBlobNotFound.
func (s *Store) reading(locator store.Locator, fn func(p *pack, file io.ReaderAt, at format.Address) error) error {
	at, err := format.Find(locator)
	if err != nil {
		return err
	}
	p := s.get(at.Pack)
	if p == nil {
		return store.ErrBlobNotFound
	}
	file, release, err := p.acquire(&s.opened)
	if err != nil {
		return err
	}
	defer release()
	return fn(p, file, at)
}

// Read returns a blob of a size. ErrBlobNotFound, ErrDamaged.
func (s *Store) Read(locator store.Locator, size int64) (content []byte, err error) {
	err = s.reading(locator, func(p *pack, file io.ReaderAt, at format.Address) error {
		content, err = p.read(file, at, size)
		return err
	})
	return content, err
}

// Stat returns the size of a blob. ErrBlobNotFound, ErrDamaged.
func (s *Store) Stat(locator store.Locator) (size int64, err error) {
	err = s.reading(locator, func(p *pack, file io.ReaderAt, at format.Address) error {
		one, err := p.readSlot(file, at)
		size = int64(one.Length)
		return err
	})
	return size, err
}

// Raw returns what is there of a blob that may be damaged: its content, or its slot where
// that does not say where the content is. ErrBlobNotFound.
func (s *Store) Raw(locator store.Locator) (content []byte, err error) {
	err = s.reading(locator, func(p *pack, file io.ReaderAt, at format.Address) error {
		one, err := p.readSlot(file, at)
		if err == nil {
			content, err = p.readContent(file, one)
		}
		if !errors.Is(err, store.ErrDamaged) {
			return err
		}
		content = make([]byte, format.SlotSize)
		_, err = file.ReadAt(content, int64(at.Slot)*format.SlotSize)
		return err
	})
	return content, err
}

// Walk calls fn for each blob with its size and a time that is not before it was written.
func (s *Store) Walk(ctx context.Context, fn func(store.Locator, int64, time.Time) error) error {
	for _, p := range s.all() {
		if err := s.walkPack(ctx, p, fn); err != nil {
			return err
		}
	}
	return nil
}

// walkStep is how many slots are read at once.
const walkStep = 1024

func (s *Store) walkPack(ctx context.Context, p *pack, fn func(store.Locator, int64, time.Time) error) error {
	buffer := make([]byte, walkStep*format.SlotSize)
	for first := 0; first < s.layout.Slots; first += walkStep {
		blobs, err := s.listed(p, first, buffer)
		if errors.Is(err, store.ErrBlobNotFound) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		for _, one := range blobs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(one.at.Locator(), int64(one.Length), one.Written); err != nil {
				return err
			}
		}
	}
	return nil
}

type listed struct {
	format.Slot
	at format.Address
}

// listed returns the blobs of walkStep slots from the first on, but for those whose slots the
// disk cannot read: they are neither deleted nor missed.
func (s *Store) listed(p *pack, first int, buffer []byte) (blobs []listed, err error) {
	file, release, err := p.acquire(&s.opened)
	if err != nil {
		return nil, err
	}
	defer release()
	n, lost, err := format.ReadTable(file, buffer[:min(walkStep, s.layout.Slots-first)*format.SlotSize], int64(first)*format.SlotSize)
	if len(lost) > 0 {
		s.log.Warn("a part of a pack cannot be read, and is left out", slog.String("pack", p.path), slog.Int("slots", len(lost)*format.SlotsPerBlock), slog.Any("error", err))
	}
	for i := range n / format.SlotSize {
		if whole, _ := p.marks.State(first + i); !whole {
			continue
		}
		if one, sound := format.DecodeSlot(buffer[i*format.SlotSize : (i+1)*format.SlotSize]); sound {
			blobs = append(blobs, listed{one, format.Address{Pack: p.number, Slot: first + i, Nonce: one.Nonce}})
		}
	}
	return blobs, nil
}
