package filesystem

import (
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// steps is the file system of the machine with steps that a test may change.
type steps struct {
	create        func(name string) (disk.File, error)
	rename        func(from, to string) error
	remove        func(name string) error
	makeDirectory func(name string) error
	syncDirectory func(name string) error
	free          func(name string) (disk.Space, error)
}

// fewAtOnce is packs of which four blobs of a block fill one.
var fewAtOnce = format.Layout{Slots: 200, Blocks: 4, Step: 8 << 10, Open: 2}

func openWith(path string, reserve int64, fsys disk.FS) (*Store, error) {
	take := func() (*directory.Claim, error) { return directory.Take(path, layout, layoutVersion) }
	return open(take, reserve, discard, fsys, fewAtOnce)
}

const plenty = 1 << 40

func newSteps() *steps {
	return &steps{
		create:        disk.OS{}.Create,
		rename:        disk.OS{}.Rename,
		remove:        disk.OS{}.Remove,
		makeDirectory: disk.OS{}.MakeDirectory,
		syncDirectory: disk.OS{}.SyncDirectory,
		free:          func(string) (disk.Space, error) { return disk.Space{Bytes: plenty, Files: disk.Unlimited}, nil },
	}
}

func (s *steps) Create(name string) (disk.File, error) { return s.create(name) }
func (s *steps) Append(name string) (disk.File, error) { return disk.OS{}.Append(name) }
func (s *steps) Rename(from, to string) error          { return s.rename(from, to) }
func (s *steps) Remove(name string) error              { return s.remove(name) }
func (s *steps) MakeDirectory(name string) error       { return s.makeDirectory(name) }
func (s *steps) SyncDirectory(name string) error       { return s.syncDirectory(name) }
func (s *steps) Free(name string) (disk.Space, error)  { return s.free(name) }
func (s *steps) Edit(name string) (disk.File, error)   { return disk.OS{}.Edit(name) }

// newStore opens a store; change, if not nil, then changes its steps.
func newStore(t *testing.T, reserve int64, change func(o *steps)) *Store {
	t.Helper()
	return openStore(t, t.TempDir(), reserve, change)
}

func openStore(t *testing.T, path string, reserve int64, change func(o *steps)) *Store {
	t.Helper()
	o := newSteps()
	s, err := openWith(path, reserve, o)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return asideTime }
	if change != nil {
		change(o)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
