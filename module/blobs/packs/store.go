package packs

import (
	"log/slog"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/rounds"
)

// usual is a pack of 64 MiB of content.
var usual = format.Layout{Slots: 16 << 10, Blocks: 16 << 10, Lines: 256 << 10, Step: 1 << 20, Open: 128}

// Store is an open directory of packs. All methods may run concurrently.
type Store struct {
	path   string
	layout format.Layout
	fsys   disk.FS
	log    *slog.Logger

	// hasRoom tells whether so many bytes may be prepared, for more than was asked for.
	hasRoom func(bytes int64) bool

	readOnly  bool
	noHoles   bool // opening found that the file system takes no blocks out of a file
	opened    openPacks
	recovered []store.Locator

	mu    sync.RWMutex
	packs map[uint64]*pack
	last  uint64 // the highest number that was given
	top   uint64 // the highest number of a pack that is sure to have a durable slot

	rounds   *rounds.Rounds[*blob]
	removing sync.WaitGroup // removals that wait for readers

	syncing sync.Mutex // held by who syncs the pack that is written, and before pen
	pen     sync.Mutex // guards what follows, and is not held during a sync
	held    bool       // all of it is of who holds syncing
	writing
	carrying
}

// hold waits until nobody syncs, and keeps everybody else from writing.
func (s *Store) hold() (release func()) {
	s.syncing.Lock()
	s.setHeld(true)
	return func() {
		s.setHeld(false)
		s.syncing.Unlock()
	}
}

func (s *Store) setHeld(held bool) {
	s.pen.Lock()
	defer s.pen.Unlock()
	s.held = held
}

func (s *Store) add(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs[p.number] = p
	s.last = max(s.last, p.number)
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

// get returns a pack, nil for none.
func (s *Store) get(number uint64) *pack {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.packs[number]
}

// Close ends the writing, and closes all packs. Closing twice is harmless.
func (s *Store) Close() error {
	err := s.end()
	s.removing.Wait()
	for _, p := range s.all() {
		p.close()
	}
	return err
}
