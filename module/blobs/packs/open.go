package packs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/rounds"
)

// Options are what a Store needs besides its directory.
type Options struct {
	FS  disk.FS
	Log *slog.Logger
	// HasRoom tells whether so many bytes may be prepared in advance.
	HasRoom func(bytes int64) bool
	// IsThere returns an error when the directory is not the one that was opened, where a
	// missing file says nothing.
	IsThere func() error
	// ReadOnly has opening change nothing.
	ReadOnly bool

	// Layout of the packs. Zero means the usual one.
	Layout format.Layout

	reader func(*os.File) io.ReaderAt // reads packs; nil: the file does
}

// Open reads the tables of all packs in a directory, which is there and is nobody else's.
func Open(path string, options Options) (*Store, error) {
	s := &Store{
		path: path, layout: options.Layout, fsys: options.FS, log: options.Log, hasRoom: options.HasRoom, readOnly: options.ReadOnly,
		packs: make(map[uint64]*pack),
	}
	if s.layout.Slots == 0 {
		s.layout = usual
	}
	s.opened.most, s.opened.reader, s.opened.isThere = s.layout.Open, options.reader, options.IsThere
	if options.reader == nil {
		s.opened.reader = func(file *os.File) io.ReaderAt { return file }
	}
	s.rounds, s.turn = rounds.New(0, s.work), make(chan struct{}, 1)
	entries, err := os.ReadDir(path)
	if options.ReadOnly && errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading packs: %w", err)
	}
	if err := s.loadAll(entries, options.ReadOnly); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) loadAll(entries []fs.DirEntry, readOnly bool) error {
	table := make([]byte, s.layout.Table())
	for _, entry := range entries {
		number, is := format.NumberOf(entry.Name())
		if !is || !entry.Type().IsRegular() {
			continue
		}
		p := newPack(number, s.path, s.layout)
		if err := s.load(p, table, readOnly); err != nil {
			return err
		}
		if p.nextSlot > 0 || readOnly {
			s.top = s.last // the one before: after a kill the disk may have no slot of this one
			s.add(p)
			continue
		}
		// The sync of its name may have failed.
		if err := s.fsys.Remove(p.path); err != nil {
			return fmt.Errorf("removing a pack that was never used: %w", directory.Full(err))
		}
	}
	if s.layout.Lines > 0 {
		s.findLines()
	}
	for _, p := range s.all() {
		if err := s.removeEmpty(p); err != nil {
			return err
		}
	}
	s.current = s.packs[s.last]
	if s.current == nil {
		return nil
	}
	return s.walkPack(context.Background(), s.current, func(locator store.Locator, _ int64, _ time.Time) error {
		s.recovered = append(s.recovered, locator)
		return nil
	})
}

// load reads the table of a pack, and gives back what belongs to none of its blobs.
func (s *Store) load(p *pack, table []byte, readOnly bool) error {
	file, err := disk.Open(p.path)
	if err != nil {
		return fmt.Errorf("opening a pack: %w", directory.Full(err))
	}
	defer file.Close()
	n, lost, err := format.ReadTable(s.opened.reader(file), table, 0)
	if len(lost)*format.BlockSize >= len(table) {
		return fmt.Errorf("reading the table of a pack: %w", err) // it is not one sector that is at fault
	}
	slots := p.list(table[:n])
	if len(lost) > 0 {
		s.log.Error("a part of a pack cannot be read; its blobs cannot be either", slog.String("pack", p.path), slog.Int("slots", len(lost)*format.SlotsPerBlock), slog.Any("error", err))
		p.lose(lost)
	}
	if p.marks.Damaged() > 0 {
		s.log.Error("slots of a pack do not have their checksums; their blobs are damaged", slog.String("pack", p.path), slog.Int("slots", p.marks.Damaged()))
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("asking for the size of a pack: %w", err)
	}
	p.nextBlock = max(0, int((info.Size()-s.layout.Head()+format.BlockSize-1)/format.BlockSize))
	for _, one := range slots { // a slot may be there although the file ends before its blob
		p.nextBlock = max(p.nextBlock, one.Block+format.Blocks(one.Length))
	}
	if readOnly || s.noHoles || len(slots) == 0 || p.marks.Damaged() > 0 || len(lost) > 0 {
		return nil
	}
	err = s.tidy(p, file, info.Size(), slots)
	if s.noHoles = errors.Is(err, errors.ErrUnsupported); s.noHoles {
		s.log.Info("the file system takes no blocks out of a file; those of deleted small files come back with their whole pack")
		return nil
	}
	if err != nil {
		s.log.Warn("giving blocks of a pack back", slog.String("pack", p.path), slog.Any("error", err))
	}
	return nil
}

// list notes which slots of a table have a blob, and returns them.
func (p *pack) list(table []byte) (slots []format.Slot) {
	for i := range len(table) / format.SlotSize {
		raw := table[i*format.SlotSize : (i+1)*format.SlotSize]
		if format.IsEmpty(raw) {
			continue
		}
		p.nextSlot = i + 1
		if format.IsDeleted(raw) {
			continue
		}
		one, sound := format.DecodeSlot(raw)
		if !sound {
			p.marks.Damage(i)
			continue
		}
		p.marks.Set(i)
		slots = append(slots, one)
	}
	return slots
}

// lose takes each slot of the blocks of a table that cannot be read for that of a blob, and
// gives the pack up. Who wants such a blob finds that the disk cannot read its slot, or can.
func (p *pack) lose(lost []int) {
	p.givenUp = true
	for _, first := range lost {
		for i := range min(format.SlotsPerBlock, p.layout.Slots-first/format.SlotSize) {
			p.marks.Set(first/format.SlotSize + i)
			p.nextSlot = max(p.nextSlot, first/format.SlotSize+i+1)
		}
	}
}

// excess is how much more than its blobs a pack may take: the file system has blocks of
// its own for a file of many pieces.
const excess = 256 << 10

// tidy gives the blocks back that belong to no blob: what a power cut after a deletion
// leaves, or what was prepared for more.
func (s *Store) tidy(p *pack, file *os.File, size int64, slots []format.Slot) error {
	taken, err := disk.Allocated(file)
	if err != nil {
		return err
	}
	used := s.layout.Head()
	for _, one := range slots {
		used += int64(format.Blocks(one.Length)) * format.BlockSize
	}
	if taken <= used+excess {
		return nil
	}
	slices.SortFunc(slots, func(a, b format.Slot) int { return cmp.Compare(a.Block, b.Block) })
	editing, err := s.fsys.Edit(p.path)
	if err != nil {
		return err
	}
	err = editing.Truncate(size)
	next := 0
	for _, one := range append(slots, format.Slot{Block: p.nextBlock}) {
		if err == nil && one.Block > next {
			err = editing.Punch(s.layout.At(next), int64(one.Block-next)*format.BlockSize)
		}
		next = max(next, one.Block+format.Blocks(one.Length))
	}
	return errors.Join(err, editing.Close())
}

// Recovered returns the blobs of the pack that is being written. Of those a crash may have
// left some that nobody was told of.
func (s *Store) Recovered() []store.Locator { return s.recovered }
