package filesystem

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// gatedFile is a segment whose syncs pass a gate.
type gatedFile struct {
	disk.File
	gate *gate
}

func (f gatedFile) Sync() error { return f.gate.pass() }

func (g *gate) segments(o *steps) {
	create := o.create
	o.create = func(name string) (disk.File, error) {
		file, err := create(name)
		if err == nil && filepath.Base(filepath.Dir(name)) == walDirectory {
			file = gatedFile{file, g}
		}
		return file, err
	}
}

// gatedVolume is a volume whose syncs pass a gate.
type gatedVolume struct {
	disk.Volume
	gate *gate
}

func (v gatedVolume) Sync() error { return v.gate.pass() }

// openGated opens a store whose file system has its syncs pass a gate.
func openGated(t *testing.T, g *gate, limits tuning) *Store {
	t.Helper()
	o := newSteps()
	o.openVolume = func(name string) (disk.Volume, error) {
		volume, err := disk.OS{}.OpenVolume(name)
		return gatedVolume{volume, g}, err
	}
	s, err := openWith(t.TempDir(), 1, o, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestSmallBlobsShareASync: all that come while a sync of the log runs wait for the next
// one together. One that fails fails its round and no other, and is not tried again: the
// segment is left, and what comes next is in a new one.
func TestSmallBlobsShareASync(t *testing.T) {
	for _, failing := range []int32{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{release: make(chan struct{}), failing: failing}
			s := openTuned(t, t.TempDir(), 1, g.segments, defaultTuning)
			later, first := g.commitTogether(t, s)
			if errors.Is(first, errRound) != (failing == 1) {
				t.Errorf("sync %d fails: the first commit says %v", failing, first)
			}
			for _, err := range later {
				if errors.Is(err, errRound) != (failing == 2) {
					t.Errorf("sync %d fails: a follower says %v", failing, err)
				}
			}
			if got := g.count.Load(); got != 2 {
				t.Errorf("%d syncs for %d commits", got, followers+1)
			}
			if err := writeBlob(s, store.NewLocator(1), 10); err != nil || g.count.Load() != 3 {
				t.Errorf("the next commit: %v, %d syncs", err, g.count.Load())
			}
			want := followers + 2
			switch failing {
			case 1:
				want--
			case 2:
				want -= followers
			}
			if got := len(s.places(t)); got != want {
				t.Errorf("%d files are there, %d commits succeeded", got, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, s)
		})
	}
}

// places are the locators of all files.
func (s *Store) places(t *testing.T) (found []store.Locator) {
	t.Helper()
	err := s.Walk(t.Context(), func(locator store.Locator, _ int64, _ time.Time) error {
		found = append(found, locator)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// segments are the names in the log.
func (s *Store) segments(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.path, walDirectory))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// pass lets time go by: the bubble's, at once, when all are waiting.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestSegmentsAreSettled when they are full, when they are old, soon after a deletion, and when
// the store is closed, and none is there when nothing was written.
// Seen to fail with a deletion that leaves its bytes in the log.
func TestSegmentsAreSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 10 << 10
		limits := tuning{small: smallBlob, segment: 3 * each, age: time.Minute}
		s := openTuned(t, t.TempDir(), 1, nil, limits)
		wantSegments := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			got := s.segments(t)
			if len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
				t.Errorf("%s: there are segments %v, want %v", when, got, want)
			}
		}
		put := func() {
			t.Helper()
			if err := writeBlob(s, store.NewLocator(1), each); err != nil {
				t.Fatal(err)
			}
		}
		wantSegments("nothing was written")
		put()
		put()
		wantSegments("two entries", "1")
		put()
		wantSegments("three, which are more than a segment", "2")
		pass(limits.age - 1)
		wantSegments("just before it is old", "2")
		pass(1)
		wantSegments("when it is old")
		put()
		wantSegments("another one", "3")
		if err := s.Delete(t.Context(), store.NewLocator(1)); err != nil {
			t.Fatal(err)
		}
		pass(deletedAge - 1)
		wantSegments("a while after a blob was deleted", "3")
		pass(1)
		wantSegments("when what was deleted has to be gone")
		put()
		wantSegments("a last one", "4")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wantSegments("closed")
		wantNothingLeft(t, s)
	})
}

// TestTheLogIsNotWaitedFor: while segments wait for a slow disk, or there is no room for
// one, small blobs are synced as large ones are.
func TestTheLogIsNotWaitedFor(t *testing.T) {
	t.Run("unsettled segments", func(t *testing.T) {
		g := &gate{release: make(chan struct{})}
		s := openGated(t, g, tuning{small: smallBlob, segment: 1, age: time.Hour})
		defer close(g.release)
		for number := range unsettledSegments + 3 {
			if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
				t.Fatal(err)
			}
			if got, want := len(s.segments(t)), min(number+1, unsettledSegments); got != want {
				t.Errorf("%d segments after %d blobs, want %d", got, number+1, want)
			}
		}
	})
	t.Run("no room, for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free := uint64(segmentSize) // and none for the reserve
			s := openTuned(t, t.TempDir(), 1, func(o *steps) {
				o.free = func(string) (disk.Space, error) { return disk.Space{Bytes: free, Files: disk.Unlimited}, nil }
			}, defaultTuning)
			wantSegments := func(when string, want int) {
				t.Helper()
				if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
					t.Error(err)
				}
				if got := s.segments(t); len(got) != want {
					t.Errorf("%s: there are segments %v", when, got)
				}
			}
			wantSegments("without room", 0)
			free++
			wantSegments("with room again", 0)
			pass(segmentAge)
			wantSegments("after a while", 1)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, s)
		})
	})
	t.Run("more than was announced", func(t *testing.T) {
		s := openTuned(t, t.TempDir(), 1, nil, defaultTuning)
		locator := store.NewLocator(1)
		w, err := s.CreateAt(t.Context(), locator, 1)
		if err == nil {
			err = errors.Join(write(w, smallBlob+1), commit(w))
		}
		if size, statErr := s.Stat(t.Context(), locator); err != nil || size != smallBlob+1 {
			t.Errorf("it has %d bytes, %v, %v", size, statErr, err)
		}
		if got := s.segments(t); len(got) > 0 {
			t.Errorf("there are segments %v", got)
		}
		wantNothingLeft(t, s)
	})
}

// TestFaultsOfWritingAhead: each step that fails gives its error or is done without, and
// nothing is left.
func TestFaultsOfWritingAhead(t *testing.T) {
	failing := func(in string, fault faultyFile) func(o *steps) {
		return func(o *steps) {
			create := o.create
			o.create = func(name string) (disk.File, error) {
				file, err := create(name)
				if filepath.Base(filepath.Dir(name)) == in {
					f := fault
					f.File = file
					return &f, err
				}
				return file, err
			}
		}
	}
	refusing := func(in string, why error) func(o *steps) {
		return func(o *steps) {
			create := o.create
			o.create = func(name string) (disk.File, error) {
				if filepath.Base(filepath.Dir(name)) == in {
					return nil, why
				}
				return create(name)
			}
		}
	}
	const place = "00000000"
	for _, test := range []struct {
		name   string
		change func(o *steps)
		want   error
	}{
		{"create", refusing(place, errDisk), errDisk},
		{"create on a full disk", refusing(place, syscall.ENOSPC), store.ErrNoSpace},
		{"write", failing(place, faultyFile{write: errDisk}), errDisk},
		{"write on a full disk", failing(place, faultyFile{write: syscall.ENOSPC}), store.ErrNoSpace},
		{"close", failing(place, faultyFile{close: errDisk}), errDisk},
		{"make directory", func(o *steps) { o.makeDirectory = func(string) error { return errDisk } }, errDisk},
		{"create a segment", refusing(walDirectory, errDisk), nil},
		{"allocate a segment", failing(walDirectory, faultyFile{allocate: syscall.ENOSPC}), nil},
		{"sync the name of a segment", func(o *steps) {
			o.syncDirectory = func(name string) error {
				if filepath.Base(name) == walDirectory {
					return errDisk
				}
				return nil
			}
		}, nil},
		{"write to a segment", failing(walDirectory, faultyFile{write: errDisk}), errDisk},
		{"write to a segment on a full disk", failing(walDirectory, faultyFile{write: syscall.ENOSPC}), store.ErrNoSpace},
		{"sync a segment", failing(walDirectory, faultyFile{sync: errDisk}), errDisk},
		{"sync a segment on a full disk", failing(walDirectory, faultyFile{sync: syscall.EDQUOT}), store.ErrNoSpace},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := openTuned(t, t.TempDir(), 1, test.change, defaultTuning)
			locator := store.NewLocator(1)
			if err := writeBlob(s, locator, 10); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if _, err := s.Stat(t.Context(), locator); errors.Is(err, store.ErrBlobNotFound) != (test.want != nil) {
				t.Errorf("in its place: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, s)
			if got := s.segments(t); len(got) > 0 {
				t.Errorf("there are segments %v", got)
			}
		})
	}
}

// doubtful is a store whose file system could not be synced when one segment was full and
// the next one began: what is in either may be lost.
type doubtful struct {
	*Store
	fsys                 *disktest.FS
	root                 string
	kept, deleted, later store.Locator
}

func newDoubtful(t *testing.T) *doubtful {
	t.Helper()
	d := &doubtful{root: t.TempDir(), kept: store.NewLocator(1), deleted: store.NewLocator(1), later: store.NewLocator(1)}
	s, err := openWith(d.root, 1, disktest.New(d.root, disktest.Fault{}), twoAhead)
	if err == nil {
		err = errors.Join(writeBlob(s, d.kept, 10), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	work := func(s *Store) error {
		return errors.Join(writeBlob(s, d.deleted, 0), s.Delete(t.Context(), d.deleted), writeBlob(s, d.later, 10))
	}
	d.fsys = disktest.New(d.root, disktest.Fault{Operation: numberOfSync(t, twoAhead, work), Mode: disktest.Fail, Err: syscall.EIO})
	if d.Store, err = openWith(d.root, 1, d.fsys, twoAhead); err != nil {
		t.Fatal(err)
	}
	if err := work(d.Store); err != nil {
		t.Fatal(err)
	}
	if got := d.segments(t); !d.fsys.Struck() || len(got) != 2 {
		t.Fatalf("there are segments %v\n%s", got, d.fsys.Log(0))
	}
	return d
}

// wantWhole cuts the power, after which nothing is in the log: only the files are left.
func (d *doubtful) wantWhole(t *testing.T) {
	t.Helper()
	if _, err := d.Stat(t.Context(), d.deleted); !errors.Is(err, store.ErrBlobNotFound) {
		t.Errorf("what was deleted: %v", err)
	}
	if err := errors.Join(d.fsys.SyncDirectory(filepath.Join(d.root, walDirectory)), d.fsys.PowerCut()); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	s := openTuned(t, d.root, 1, nil, twoAhead)
	for _, locator := range []store.Locator{d.kept, d.later} {
		if size, err := s.Stat(t.Context(), locator); err != nil || size != 10 {
			t.Errorf("%s has %d bytes, %v", locator, size, err)
		}
	}
}

// TestWhatCouldNotBeSyncedIsWrittenAnew, and all that may have been lost with it: to sync
// it again is not enough.
// Seen to fail with files that a failed sync may have lost and that are only synced
// again; files of later segments that are taken for whole; no second try.
func TestWhatCouldNotBeSyncedIsWrittenAnew(t *testing.T) {
	t.Run("by itself, after a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDoubtful(t)
			pass(twoAhead.age)
			if got := d.segments(t); len(got) > 0 {
				t.Errorf("there are segments %v", got)
			}
			d.wantWhole(t)
		})
	})
	t.Run("without another segment", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{release: make(chan struct{}), failing: 1}
			close(g.release)
			s := openGated(t, g, defaultTuning)
			if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
				t.Fatal(err)
			}
			for _, want := range []int{1, 0} {
				pass(segmentAge)
				if got := s.segments(t); len(got) != want {
					t.Errorf("after %d syncs there are segments %v", g.count.Load(), got)
				}
			}
		})
	})
	t.Run("at once, when the next segment is full", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDoubtful(t)
			if err := writeBlob(d.Store, store.NewLocator(1), 10); err != nil {
				t.Fatal(err)
			}
			if got := d.segments(t); len(got) != 1 || got[0] != "3" {
				t.Errorf("there are segments %v", got)
			}
			d.wantWhole(t)
		})
	})
}

// numberOfSync is the first operation that syncs a volume when that is done to a store
// that has a blob.
func numberOfSync(t *testing.T, limits tuning, work func(*Store) error) int {
	t.Helper()
	root := t.TempDir()
	s, err := openWith(root, 1, disktest.New(root, disktest.Fault{}), limits)
	if err == nil {
		err = errors.Join(writeBlob(s, store.NewLocator(1), 10), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	fsys := disktest.New(root, disktest.Fault{})
	if s, err = openWith(root, 1, fsys, limits); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := work(s); err != nil {
		t.Fatal(err)
	}
	for i, o := range fsys.Operations() {
		if o.Kind == disktest.SyncVolume {
			return i + 1
		}
	}
	t.Fatalf("no volume is synced\n%s", fsys.Log(0))
	return 0
}

// TestAPowerCutUnderWriters: what was acknowledged is there, however many wrote at once
// and whatever was settled meanwhile.
func TestAPowerCutUnderWriters(t *testing.T) {
	root := t.TempDir()
	acknowledged := make(map[store.Locator]byte)
	for cycle := range 20 {
		fsys := disktest.New(root, disktest.Fault{})
		s, err := openWith(root, 1, fsys, tuning{small: smallBlob, segment: int64(300 + 700*(cycle%3)), age: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		for locator, fill := range acknowledged {
			wantFilled(t, s, locator, fill)
		}
		var mu sync.Mutex
		answers := 0
		var writers sync.WaitGroup
		enough := make(chan struct{})
		for writer := range 8 {
			writers.Go(func() {
				for n := 0; ; n++ {
					locator, fill := store.NewLocator(uint64(n)*5_000), byte(writer*16+n%16)
					if writeFilled(s, locator, fill) != nil {
						return
					}
					mu.Lock()
					acknowledged[locator] = fill
					if answers++; answers == 40+cycle {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		if err := fsys.PowerCut(); err != nil {
			t.Fatal(err)
		}
		writers.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func filled(fill byte) []byte { return bytes.Repeat([]byte{fill}, 20+int(fill)) }

func writeFilled(s *Store, locator store.Locator, fill byte) error {
	content := filled(fill)
	w, err := s.CreateAt(context.Background(), locator, int64(len(content)))
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return errors.Join(err, w.Abort())
	}
	return commit(w)
}

func wantFilled(t *testing.T, s *Store, locator store.Locator, fill byte) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.path, filepath.FromSlash(string(locator))))
	if err != nil || !bytes.Equal(content, filled(fill)) {
		t.Errorf("%s has %d bytes, %v", locator, len(content), err)
	}
}
