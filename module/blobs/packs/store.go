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
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Largest is the most bytes of a blob in a pack.
const Largest = 64 << 10

// usual is a pack of 64 MiB of content.
var usual = Layout{Slots: 16 << 10, Blocks: 16 << 10, Step: 4 << 20, Open: 128}

// Store is an open directory of packs. All methods may run concurrently.
type Store struct {
	path   string
	layout Layout
	fsys   disk.FS
	log    *slog.Logger

	// hasRoom tells whether so many bytes may be set aside beyond what was asked for.
	hasRoom func(bytes int64) bool

	opened    opened
	recovered []store.Locator

	mu    sync.RWMutex
	packs map[uint64]*pack
	last  uint64 // the highest number that was given
	top   uint64 // the highest number of a pack

	rounds
	writing
}

// Options are what a Store needs besides its directory.
type Options struct {
	FS  disk.FS
	Log *slog.Logger
	// HasRoom tells whether so many bytes may be set aside in advance.
	HasRoom func(bytes int64) bool
	// ReadOnly has opening change nothing.
	ReadOnly bool

	// Layout of the packs. Zero means the usual one.
	Layout Layout
}

// Open reads the tables of all packs in a directory, which is there and is nobody else's.
func Open(path string, options Options) (*Store, error) {
	s := &Store{
		path: path, layout: options.Layout, fsys: options.FS, log: options.Log, hasRoom: options.HasRoom,
		packs: make(map[uint64]*pack),
	}
	if s.layout.Slots == 0 {
		s.layout = usual
	}
	s.opened.most = s.layout.Open
	s.turn = make(chan struct{}, 1)
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
	table := make([]byte, s.layout.table())
	for _, entry := range entries {
		number, is := numberOf(entry.Name())
		if !is || !entry.Type().IsRegular() {
			continue
		}
		p := newPack(number, s.path, s.layout)
		if err := s.load(p, table, readOnly); err != nil {
			return err
		}
		if p.nextSlot > 0 || readOnly {
			s.add(p)
			continue
		}
		// The sync of its name may have failed.
		if err := s.fsys.Remove(p.path); err != nil {
			return fmt.Errorf("removing a pack that was never used: %w", directory.Full(err))
		}
	}
	for _, p := range s.all() {
		if readOnly {
			continue
		}
		if err := s.removeEmpty(p); err != nil {
			return err
		}
	}
	s.current = s.packs[s.top]
	if s.current == nil {
		return nil
	}
	return s.walkPack(context.Background(), s.current, func(locator store.Locator, _ int64, _ time.Time) error {
		s.recovered = append(s.recovered, locator)
		return nil
	})
}

func (s *Store) add(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs[p.number] = p
	s.top = max(s.top, p.number)
	s.last = max(s.last, s.top)
}

// all returns the packs of now.
func (s *Store) all() []*pack {
	s.mu.RLock()
	defer s.mu.RUnlock()
	packs := make([]*pack, 0, len(s.packs))
	for _, p := range s.packs {
		packs = append(packs, p)
	}
	return packs
}

// load reads the table of a pack, and gives back what belongs to none of its blobs.
func (s *Store) load(p *pack, table []byte, readOnly bool) error {
	file, err := disk.Open(p.path)
	if err != nil {
		return fmt.Errorf("opening a pack: %w", directory.Full(err))
	}
	defer file.Close()
	n, err := file.ReadAt(table, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the table of a pack: %w", err)
	}
	var slots []slot
	for i := range n / slotSize {
		raw := table[i*slotSize : (i+1)*slotSize]
		if isEmpty(raw) {
			continue
		}
		p.nextSlot = i + 1
		if isDeleted(raw) {
			continue
		}
		one, sound := decodeSlot(raw)
		if !sound {
			p.damaged[i] = true
			continue
		}
		p.set(i)
		slots = append(slots, one)
	}
	if len(p.damaged) > 0 {
		s.log.Error("slots of a pack do not have their checksums; their blobs are damaged", slog.String("pack", p.path), slog.Int("slots", len(p.damaged)))
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("asking for the size of a pack: %w", err)
	}
	p.nextBlock = max(0, int((info.Size()-s.layout.table()+blockSize-1)/blockSize))
	if readOnly || len(slots) == 0 || len(p.damaged) > 0 {
		return nil
	}
	return s.tidy(p, file, info.Size(), slots)
}

// excess is how much more than its blobs a pack may take: the file system has blocks of
// its own for a file of many pieces.
const excess = 256 << 10

// tidy gives the blocks back that belong to no blob, which a power cut after a deletion
// leaves, or what was set aside for more.
func (s *Store) tidy(p *pack, file *os.File, size int64, slots []slot) error {
	taken, err := disk.Allocated(file)
	if err != nil {
		return err
	}
	used := s.layout.table()
	for _, one := range slots {
		used += int64(blocks(one.length)) * blockSize
	}
	if taken <= used+excess {
		return nil
	}
	slices.SortFunc(slots, func(a, b slot) int { return cmp.Compare(a.block, b.block) })
	editing, err := s.fsys.Edit(p.path)
	if err != nil {
		return fmt.Errorf("opening a pack: %w", directory.Full(err))
	}
	err = editing.Truncate(size)
	next := 0
	for _, one := range append(slots, slot{block: p.nextBlock}) {
		if err == nil && one.block > next {
			err = editing.Punch(s.layout.at(next), int64(one.block-next)*blockSize)
		}
		next = max(next, one.block+blocks(one.length))
	}
	if err = errors.Join(err, editing.Close()); err != nil {
		return fmt.Errorf("giving blocks of a pack back: %w", directory.Full(err))
	}
	return nil
}

// Recovered returns the blobs of the pack that is being written. Of those a crash may have
// left some that nobody was told of.
func (s *Store) Recovered() []store.Locator { return s.recovered }

// get returns a pack, nil for none.
func (s *Store) get(number uint64) *pack {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.packs[number]
}

// reading calls fn with an open pack that has a place, and that nothing is deleted from
// meanwhile. ErrBlobNotFound.
func (s *Store) reading(locator store.Locator, fn func(p *pack, file *os.File, at place) error) error {
	at, err := find(locator)
	if err != nil {
		return err
	}
	p := s.get(at.pack)
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
	err = s.reading(locator, func(p *pack, file *os.File, at place) error {
		content, err = p.read(file, at, size)
		return err
	})
	return content, err
}

// Stat returns the size of a blob. ErrBlobNotFound, ErrDamaged.
func (s *Store) Stat(locator store.Locator) (size int64, err error) {
	err = s.reading(locator, func(p *pack, file *os.File, at place) error {
		one, err := p.readSlot(file, at)
		size = int64(one.length)
		return err
	})
	return size, err
}

// Raw returns what is there of a blob that may be damaged: its content, or its slot where
// that does not say where the content is. ErrBlobNotFound.
func (s *Store) Raw(locator store.Locator) (content []byte, err error) {
	err = s.reading(locator, func(p *pack, file *os.File, at place) error {
		one, err := p.readSlot(file, at)
		if err == nil {
			content, err = p.readContent(file, one)
		}
		if !errors.Is(err, store.ErrDamaged) {
			return err
		}
		content = make([]byte, slotSize)
		_, err = file.ReadAt(content, int64(at.slot)*slotSize)
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
	buffer := make([]byte, walkStep*slotSize)
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
			if err := fn(one.at.locator(), int64(one.length), one.written); err != nil {
				return err
			}
		}
	}
	return nil
}

type listed struct {
	slot
	at place
}

// listed returns the blobs of walkStep slots from the first on.
func (s *Store) listed(p *pack, first int, buffer []byte) (blobs []listed, err error) {
	file, release, err := p.acquire(&s.opened)
	if err != nil {
		return nil, err
	}
	defer release()
	n, err := file.ReadAt(buffer[:min(walkStep, s.layout.Slots-first)*slotSize], int64(first)*slotSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the table of a pack: %w", err)
	}
	for i := range n / slotSize {
		if !p.has(first + i) {
			continue
		}
		if one, sound := decodeSlot(buffer[i*slotSize : (i+1)*slotSize]); sound {
			blobs = append(blobs, listed{one, place{p.number, first + i, one.nonce}})
		}
	}
	return blobs, nil
}

// Close ends the writing, and closes all packs. Closing twice is harmless.
func (s *Store) Close() error {
	err := s.end()
	for _, p := range s.all() {
		p.close()
	}
	return err
}
