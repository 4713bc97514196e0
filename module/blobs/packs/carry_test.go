package packs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestBlobsAreStagedBesideWhatSyncs: while one goroutine has lines carried, others put, delete
// and drop blobs. What was named in lines and not deleted is there, also after opening again.
func TestBlobsAreStagedBesideWhatSyncs(t *testing.T) {
	const putters, each = 6, 60
	path := t.TempDir()
	layout := format.Layout{Slots: 200, Blocks: 40, Lines: 4 << 10, Step: 32 << 10, Open: 2}
	s := mustOpen(t, path, disk.OS{}, layout)
	if _, err := s.Carried(storeID, 0, path); err != nil {
		t.Fatal(err)
	}
	type put struct {
		locator store.Locator
		content []byte
		named   chan struct{}
	}
	puts := make(chan put)
	var mu sync.Mutex
	kept := make(map[store.Locator][]byte)
	var group sync.WaitGroup
	for putter := range putters {
		group.Go(func() {
			for i := range each {
				p := put{content: contentOf(putter*each+i, 500*(i%9)), named: make(chan struct{})}
				var err error
				if p.locator, err = s.Put(t.Context(), p.content); err != nil {
					t.Error(err)
					return
				}
				puts <- p
				<-p.named
				switch {
				case i%7 == 1:
					err = s.Drop(p.locator)
				case i%3 == 1:
					err = s.Delete(p.locator)
				default:
					mu.Lock()
					kept[p.locator] = p.content
					mu.Unlock()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		group.Wait()
		close(puts)
	}()
	carried := 0
	for first := uint64(1); ; first++ {
		p, more := <-puts
		if !more {
			break
		}
		is, err := s.Carry(first, first-1, fmt.Appendf(nil, "line %d\n", first), []store.Locator{p.locator})
		if err != nil {
			t.Error(err)
		}
		if is {
			carried++
		}
		close(p.named)
	}
	if carried == 0 {
		t.Error("no line was carried")
	}
	check := func() {
		t.Helper()
		for locator, content := range kept {
			if got, err := s.Read(locator, int64(len(content))); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s has %d bytes, %v", locator, len(got), err)
			}
		}
	}
	check()
	must(t, s.Close())
	s = mustOpen(t, path, disk.OS{}, layout)
	check()
	must(t, s.Close())
}

// TestBlobsOfAnotherFileSystemWait for no journal: each is durable when Put returns.
func TestBlobsOfAnotherFileSystemWait(t *testing.T) {
	s := mustOpen(t, t.TempDir(), disk.OS{}, format.Layout{Slots: 200, Blocks: 40, Lines: 4 << 10, Step: 32 << 10, Open: 2})
	if _, err := s.Carried(storeID, 0, "/nonexistent"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		mustPut(t, s, contentOf(i, 100))
	}
	if carried, err := s.Carry(1, 0, []byte("line\n"), nil); carried || err != nil || len(s.staged) > 0 {
		t.Errorf("a line is carried: %t, %v, with %d blobs", carried, err, len(s.staged))
	}
	must(t, s.Close())
}

// storeID is of the store whose lines are carried.
const storeID = "STORE"

// roomForLines is a layout whose packs are full after a few blobs.
var roomForLines = format.Layout{Slots: 200, Blocks: 20, Lines: 4 << 10, Step: 32 << 10, Open: 2}

// joined opens a store that a journal has joined, and puts the first blob into a pack: a round
// makes what the next ones need.
func joined(t *testing.T, path string, fsys disk.FS) *Store {
	t.Helper()
	s := mustOpen(t, path, fsys, roomForLines)
	if _, err := s.Carried(storeID, 0, path); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, contentOf(0, 100))
	return s
}

func mustCarry(t *testing.T, s *Store, first, synced uint64, named ...store.Locator) {
	t.Helper()
	if _, err := s.Carry(first, synced, fmt.Appendf(nil, "line %d\n", first), named); err != nil {
		t.Fatal(err)
	}
}

// wantCarried opens the store after a power cut.
func wantCarried(t *testing.T, path, want string) *Store {
	t.Helper()
	s := mustOpen(t, path, disk.OS{}, roomForLines)
	got, err := s.Carried(storeID, 0, path)
	if err != nil || string(got) != want {
		t.Errorf("after a power cut, packs have the lines %q, %v; want %q", got, err, want)
	}
	return s
}

// TestADeletionLosesNoLines: a blob that the last lines name is deleted, and one that came with
// it and that they do not name. Of that the disk has any part after a power cut.
// Seen to fail with a hole that is made before its mark is durable, and with lines that count
// only if blobs are whole that they do not name.
func TestADeletionLosesNoLines(t *testing.T) {
	for written := range 1 << 4 {
		path := t.TempDir()
		fsys := disktest.New(path, disktest.Fault{})
		s := joined(t, path, fsys)
		first, second, unnamed := mustPut(t, s, contentOf(1, 5000)), mustPut(t, s, contentOf(2, 5000)), mustPut(t, s, contentOf(3, 5000))
		mustCarry(t, s, 1, 0, first, second)
		must(t, s.Delete(first))
		must(t, s.Delete(unnamed))
		must(t, fsys.PowerCutAfter(func(change int) bool { return written>>change&1 == 1 }))
		s = wantCarried(t, path, "line 1\n")
		wantContent(t, s, second, contentOf(2, 5000))
		must(t, s.Close())
	}
}

// TestLinesOfAFailedSyncDoNotCount when a blob that they name was lost, whatever the disk has.
// Seen to fail with slots that are marked as those of deleted blobs.
func TestLinesOfAFailedSyncDoNotCount(t *testing.T) {
	for written := range 1 << 3 {
		path := t.TempDir()
		fsys := disktest.New(path, disktest.Fault{})
		s := joined(t, path, fsys)
		operations := len(fsys.Operations())
		must(t, s.Close())

		path = t.TempDir()
		fsys = disktest.New(path, disktest.Fault{Operation: operations + 4, Mode: disktest.Done, Err: syscall.EIO})
		s = joined(t, path, fsys)
		locator := mustPut(t, s, contentOf(1, 5000))
		if _, err := s.Carry(1, 0, []byte("line 1\n"), []store.Locator{locator}); err == nil || !fsys.Struck() {
			t.Fatalf("no sync failed: %v\n%s", err, fsys.Log(0))
		}
		if _, err := s.Carry(1, 0, []byte("line 1\n"), []store.Locator{locator}); err == nil {
			t.Error("a line names a blob that was lost")
		}
		if lines, err := s.Carried(storeID, 0, path); err != nil || len(lines) > 0 {
			t.Errorf("packs have the lines %q, %v", lines, err)
		}
		must(t, fsys.PowerCutAfter(func(change int) bool { return written>>change&1 == 1 }))
		s = mustOpen(t, path, disk.OS{}, roomForLines)
		lines, err := s.Carried(storeID, 0, path)
		if err != nil {
			t.Error(err)
		}
		if len(lines) > 0 {
			wantContent(t, s, locator, contentOf(1, 5000))
		}
		must(t, s.Close())
	}
}

// TestTornLinesDoNotComeBack: lines that were left out stay away, when the blobs that they name
// are deleted, and when others get their slots.
// Seen to fail with lines that are left out and stay in the pack.
func TestTornLinesDoNotComeBack(t *testing.T) {
	torn := 0
	for written := range 1 << 4 {
		path := t.TempDir()
		fsys := disktest.New(path, disktest.Fault{Operation: 12, Mode: disktest.CrashBefore})
		s := joined(t, path, fsys)
		locator := mustPut(t, s, contentOf(1, 5000))
		if _, err := s.Carry(1, 0, []byte("line 1\n"), []store.Locator{locator}); err == nil || !fsys.Crashed() {
			t.Fatalf("the sync did not crash: %v\n%s", err, fsys.Log(0))
		}
		must(t, fsys.PowerCutAfter(func(change int) bool { return written>>change&1 == 1 }))
		s = mustOpen(t, path, disk.OS{}, roomForLines)
		lines, err := s.Carried(storeID, 0, path)
		must(t, err)
		if len(lines) > 0 {
			wantContent(t, s, locator, contentOf(1, 5000))
			continue
		}
		torn++
		for _, recovered := range s.Recovered()[1:] {
			must(t, s.Delete(recovered))
		}
		for i := range 3 {
			mustPut(t, s, contentOf(i, 100))
		}
		must(t, s.Close())
		must(t, wantCarried(t, path, "").Close())
	}
	if torn == 0 || torn == 1<<4 {
		t.Errorf("%d of %d power cuts tore the lines", torn, 1<<4)
	}
}

// TestTheMarkOfADeletionOutlivesItsBlock of the table while the lines of the pack are the newest.
// Seen to fail with a block that is taken out when its last blob is deleted.
func TestTheMarkOfADeletionOutlivesItsBlock(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	first, second := mustPut(t, s, contentOf(1, 100)), mustPut(t, s, contentOf(2, 100))
	mustCarry(t, s, 1, 0, first, second)
	must(t, s.Delete(first))
	for i := range 2 {
		mustPut(t, s, contentOf(i, format.Largest)) // into another pack
	}
	for _, locator := range walked(t, s) {
		if at, _ := format.Find(locator); at.Pack == 1 {
			must(t, s.Delete(locator))
		}
	}
	must(t, s.Close())
	must(t, wantCarried(t, path, "line 1\n").Close())
}

// TestALostBlobIsNoDeletedOne although its slot could not be emptied.
// Seen to fail with lines that count when they name a blob that is not there.
func TestALostBlobIsNoDeletedOne(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	mustCarry(t, s, 1, 0, mustPut(t, s, contentOf(1, 100)))
	locator := mustPut(t, s, contentOf(2, 100))
	s.file = &dying{File: s.file}
	if _, err := s.Carry(2, 1, []byte("line 2\n"), []store.Locator{locator}); err == nil {
		t.Error("the sync failed, and no error tells so")
	}
	if lines, err := s.Carried(storeID, 0, path); err != nil || string(lines) != "line 1\n" {
		t.Errorf("packs have the lines %q, %v", lines, err)
	}
	must(t, s.Close())
}

// TestAFailedSyncWithoutLinesConcernsOnlyItsBlobs: lines that no pack has place for are for the
// journal, unless they name what was lost.
// Seen to fail with an error for whatever lines.
func TestAFailedSyncWithoutLinesConcernsOnlyItsBlobs(t *testing.T) {
	for _, test := range []struct {
		name  string
		named bool
		want  error
	}{{"lines that name the blob", true, store.ErrUnavailable}, {"lines that name nothing", false, nil}} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			s := joined(t, path, disk.OS{})
			var named []store.Locator
			if locator := mustPut(t, s, contentOf(1, 100)); test.named {
				named = append(named, locator)
			}
			s.file = &dying{File: s.file}
			carried, err := s.Carry(1, 0, make([]byte, roomForLines.Lines), named)
			if carried || !errors.Is(err, test.want) {
				t.Errorf("lines are carried: %t, %v; want %v", carried, err, test.want)
			}
			if len(s.staged) > 0 || s.pack != nil {
				t.Errorf("%d blobs of a pack that failed wait", len(s.staged))
			}
			must(t, s.Close())
		})
	}
}

// TestABlobThatIsBeingDeletedIsNotLost: the last lines name it, its slot is not marked yet, and the
// journal is opened again.
// Seen to fail with a blob that is not found.
func TestABlobThatIsBeingDeletedIsNotLost(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	locator := mustPut(t, s, contentOf(1, 100))
	mustCarry(t, s, 1, 0, locator)
	at, err := format.Find(locator)
	must(t, err)
	end, _ := s.get(at.Pack).marks.Take(at.Slot)
	if lines, err := s.Carried(storeID, 0, path); err != nil || string(lines) != "line 1\n" {
		t.Errorf("packs have the lines %q, %v", lines, err)
	}
	end(true)
	must(t, s.Close())
}

// dying is a file that takes nothing any more once it was synced.
type dying struct {
	disk.File
	dead bool
}

func (d *dying) Sync() error {
	d.dead = true
	return syscall.EIO
}

func (d *dying) WriteAt(p []byte, at int64) (int, error) {
	if d.dead {
		return 0, syscall.EIO
	}
	return d.File.WriteAt(p, at)
}

// TestStagedBlobsOfAFullPackAreDurable when a line names them that another pack carries.
// Seen to fail with a pack that is closed before it is synced.
func TestStagedBlobsOfAFullPackAreDurable(t *testing.T) {
	path := t.TempDir()
	fsys := disktest.New(path, disktest.Fault{})
	s := joined(t, path, fsys)
	mustPut(t, s, contentOf(2, format.Largest))
	staged := mustPut(t, s, contentOf(1, 5000))
	mustPut(t, s, contentOf(3, format.Largest)) // into the next pack
	mustPut(t, s, contentOf(4, 0))
	mustCarry(t, s, 1, 0, staged)
	must(t, fsys.PowerCut())
	s = wantCarried(t, path, "line 1\n")
	wantContent(t, s, staged, contentOf(1, 5000))
	must(t, s.Close())
}

// TestStagedBlobsOfAPackThatIsGone are lost, and no line names them.
// Seen to fail with a sync of a file without a name.
func TestStagedBlobsOfAPackThatIsGone(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	staged := mustPut(t, s, contentOf(1, 5000))
	must(t, os.Remove(filepath.Join(path, "0000001")))
	mustPut(t, s, contentOf(2, format.Largest)) // into another pack
	if carried, err := s.Carry(1, 0, []byte("line 1\n"), []store.Locator{staged}); err == nil {
		t.Errorf("a line names a blob of a pack that is gone: %t", carried)
	}
	must(t, s.Close())
}

// TestLinesOfAPackThatIsGone are not asked for: the journal goes on without them.
func TestLinesOfAPackThatIsGone(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	mustCarry(t, s, 1, 0, mustPut(t, s, contentOf(1, 100)))
	must(t, os.Remove(filepath.Join(path, "0000001")))
	if lines, err := s.Carried(storeID, 0, path); err != nil || len(lines) > 0 {
		t.Errorf("packs have the lines %q, %v", lines, err)
	}
	must(t, s.Close())
}

// TestLinesEndWhereTheLastOnesWereWritten, also when those behind them have higher numbers, as
// after a rebuild that lost changes.
// Seen to fail with lines that are written and nothing behind them.
func TestLinesEndWhereTheLastOnesWereWritten(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	for i := range 3 {
		mustCarry(t, s, uint64(i+1), uint64(i), mustPut(t, s, contentOf(i, 100)))
	}
	must(t, s.Close())
	s = joined(t, path, disk.OS{})
	locator := mustPut(t, s, contentOf(3, 100))
	if _, err := s.Carry(1, 0, []byte("LINE 1\n"), []store.Locator{locator}); err != nil {
		t.Error(err)
	}
	must(t, s.Close())
	must(t, wantCarried(t, path, "LINE 1\n").Close())
}

// TestLinesThatCannotBeRead are not left out, unless they are to be forgotten. A blob that the
// last lines name and that cannot be read is damaged.
// Seen to fail with lines that end where the disk reads nothing.
func TestLinesThatCannotBeRead(t *testing.T) {
	for _, test := range []struct {
		name   string
		from   int64
		refuse bool
		left   string // after what cannot be read is to be forgotten
	}{
		{"the first block of the lines", roomForLines.Table(), true, ""},
		{"the content of a blob that the last lines name", roomForLines.At(1), false, "line 1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			s := joined(t, path, disk.OS{})
			mustCarry(t, s, 1, 0, mustPut(t, s, contentOf(1, 100)))
			must(t, s.Close())
			s, err := Open(path, Options{FS: disk.OS{}, Log: discard, HasRoom: func(int64) bool { return true }, IsThere: func() error { return nil }, Layout: roomForLines,
				reader: func(file *os.File) io.ReaderAt { return unreadable{file, test.from} }})
			must(t, err)
			lines, err := s.Carried(storeID, 0, path)
			if test.refuse != errors.Is(err, store.ErrUnavailable) || !test.refuse && string(lines) != "line 1\n" {
				t.Errorf("packs have the lines %q, %v", lines, err)
			}
			must(t, s.Forget())
			must(t, s.Close())
			must(t, wantCarried(t, path, test.left).Close())
		})
	}
}

// unreadable is a file of which the disk cannot read a block.
type unreadable struct {
	*os.File
	from int64
}

func (u unreadable) ReadAt(p []byte, from int64) (int, error) {
	if from < u.from+format.BlockSize && from+int64(len(p)) > u.from {
		return 0, syscall.EIO
	}
	return u.File.ReadAt(p, from)
}

// TestPutWaitsForNoSync: while a sync hangs, a blob is staged, or its context ends.
// Seen to fail with blobs that wait for who syncs.
func TestPutWaitsForNoSync(t *testing.T) {
	path := t.TempDir()
	s := joined(t, path, disk.OS{})
	release := s.hold() // as who syncs
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Put(ctx, contentOf(1, 100)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a blob that waits ends with %v", err)
	}
	release()
	must(t, s.Close())
}
