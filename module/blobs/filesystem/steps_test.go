package filesystem

import (
	"testing"
	"time"

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
	openVolume    func(name string) (disk.Volume, error)
}

func openWith(path string, reserve int64, fsys disk.FS, limits tuning) (*Store, error) {
	return open(func() (*directory.Claim, error) { return directory.Take(path, layout, layoutVersion) }, reserve, discard, fsys, limits)
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
		openVolume:    disk.OS{}.OpenVolume,
	}
}

func (s *steps) Create(name string) (disk.File, error)       { return s.create(name) }
func (s *steps) Append(name string) (disk.File, error)       { return disk.OS{}.Append(name) }
func (s *steps) Rename(from, to string) error                { return s.rename(from, to) }
func (s *steps) Remove(name string) error                    { return s.remove(name) }
func (s *steps) MakeDirectory(name string) error             { return s.makeDirectory(name) }
func (s *steps) SyncDirectory(name string) error             { return s.syncDirectory(name) }
func (s *steps) Free(name string) (disk.Space, error)        { return s.free(name) }
func (s *steps) OpenVolume(name string) (disk.Volume, error) { return s.openVolume(name) }

// newStore opens a store that writes nothing ahead; change, if not nil, then changes its
// steps.
func newStore(t *testing.T, reserve int64, change func(o *steps)) *Store {
	t.Helper()
	return openStore(t, t.TempDir(), reserve, change)
}

// allAlike has small blobs written as large ones are.
var allAlike = tuning{small: -1}

func openStore(t *testing.T, path string, reserve int64, change func(o *steps)) *Store {
	t.Helper()
	return openTuned(t, path, reserve, change, allAlike)
}

func openTuned(t *testing.T, path string, reserve int64, change func(o *steps), limits tuning) *Store {
	t.Helper()
	o := newSteps()
	s, err := openWith(path, reserve, o, limits)
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
