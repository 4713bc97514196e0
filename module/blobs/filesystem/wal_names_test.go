package filesystem

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// TestNamesThatTheSyncOfALargeBlobLost: it fails for the directory of both, and a later
// sync succeeds although the small one's name is not on the disk.
func TestNamesThatTheSyncOfALargeBlobLost(t *testing.T) {
	for name, through := range map[string]func(disk.FS) disk.FS{
		"all are synced at once": func(fsys disk.FS) disk.FS { return fsys },
		"one by one":             func(fsys disk.FS) disk.FS { return oneByOne{fsys} },
	} {
		t.Run(name, func(t *testing.T) {
			before, large, after := registry.NewLocator(1), registry.NewLocator(1), registry.NewLocator(1)
			// work begins another segment, with a large blob between.
			work := func(fsys *disktest.FS, root string) (s *Store, failure error) {
				s, err := openWith(root, 1, through(fsys), twoAhead)
				if err != nil {
					t.Fatal(err)
				}
				err = writeBlob(s, before, 10)
				failure = writeBlob(s, large, smallBlob+1)
				if err = errors.Join(err, writeBlob(s, after, 10)); err != nil {
					t.Fatal(err)
				}
				return s, failure
			}
			root := t.TempDir()
			quiet := disktest.New(root, disktest.Fault{})
			s, failure := work(quiet, root)
			if err := errors.Join(failure, s.Close()); err != nil {
				t.Fatal(err)
			}
			number := 0
			for i, o := range quiet.Operations() {
				if o.Kind == disktest.SyncDirectory && o.Name == "00000000" {
					number = i + 1
					break
				}
			}

			root = t.TempDir()
			fsys := disktest.New(root, disktest.Fault{Operation: number, Mode: disktest.Fail, Err: syscall.EIO})
			s, failure = work(fsys, root)
			if got := s.segments(t); !errors.Is(failure, syscall.EIO) || len(got) != 1 || got[0] != "2" {
				t.Fatalf("the large blob: %v; there are segments %v\n%s", failure, got, fsys.Log(0))
			}
			if err := errors.Join(fsys.SyncDirectory(filepath.Join(root, walDirectory)), fsys.PowerCut(), s.Close()); err != nil {
				t.Fatal(err)
			}
			s = openTuned(t, root, 1, nil, twoAhead)
			for _, locator := range []registry.Locator{before, after} {
				if size, err := s.Stat(t.Context(), locator); err != nil || size != 10 {
					t.Errorf("%s has %d bytes, %v", locator, size, err)
				}
			}
		})
	}
}

// failingSync is a sync of names that fails in the end.
type failingSync struct{ began, fail chan struct{} }

func newFailingSync() failingSync { return failingSync{make(chan struct{}), make(chan struct{})} }

func (f failingSync) run() error {
	close(f.began)
	<-f.fail
	return errDisk
}

// TestASegmentWaitsForTheSyncOfOthers: while names are synced for large blobs, which
// fails in the end, a segment is settled, and then its file is written anew. It is not
// removed before what failed cannot have been about it.
func TestASegmentWaitsForTheSyncOfOthers(t *testing.T) {
	const each = 10
	first, second := newFailingSync(), newFailingSync()
	var syncs atomic.Int32
	small := registry.NewLocator(1)
	settled := make(chan struct{}, 3)
	o := newSteps()
	o.openVolume = func(name string) (disk.Volume, error) {
		volume, err := disk.OS{}.OpenVolume(name)
		return tellingVolume{volume, settled}, err
	}
	s, err := openWith(t.TempDir(), 1, o, tuning{small: smallBlob, segment: each, age: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o.rename = func(from, to string) error {
		if filepath.Base(to) == filepath.Base(string(small)) { // it is written anew
			<-second.began
		}
		return disk.OS{}.Rename(from, to)
	}
	o.syncDirectory = func(name string) error {
		if filepath.Base(name) == "00000000" {
			switch syncs.Add(1) {
			case 1:
				return first.run()
			case 2:
				return second.run()
			}
		}
		return disk.OS{}.SyncDirectory(name)
	}
	done := make(chan error, 2)
	writeLarge := func() { done <- writeBlob(s, registry.NewLocator(1), smallBlob+1) }
	go writeLarge()
	<-first.began
	if err := writeBlob(s, small, each); err != nil { // which fills the segment
		t.Fatal(err)
	}
	for _, failing := range []failingSync{first, second} {
		<-settled
		if got := s.segments(t); len(got) != 1 {
			t.Errorf("there are segments %v while names may be lost", got)
		}
		go writeLarge()
		close(failing.fail)
		if err := <-done; !errors.Is(err, errDisk) {
			t.Errorf("a large blob: %v", err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("the last large blob: %v", err)
	}
	s.wal.background.Wait()
	if got := s.segments(t); len(got) != 1 {
		t.Errorf("there are segments %v, of which a file may be lost", got)
	}
	if err := s.wal.drain(); err != nil || len(s.segments(t)) > 0 {
		t.Errorf("draining: %v; there are segments %v", err, s.segments(t))
	}
}

// tellingVolume tells each sync that has ended.
type tellingVolume struct {
	disk.Volume
	ended chan struct{}
}

func (v tellingVolume) Sync() error {
	err := v.Volume.Sync()
	v.ended <- struct{}{}
	return err
}
