package filesystem

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const plenty = 1 << 40

// newStore opens a store with steps that a test may change.
func newStore(t *testing.T, reserve int64, change func(o *operations)) *Store {
	t.Helper()
	o := systemOperations
	o.free = func(string) (uint64, error) { return plenty, nil }
	if change != nil {
		change(&o)
	}
	s, err := open(t.TempDir(), reserve, discard, o)
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

// faultyFile fails at its writes, sync or close.
type faultyFile struct {
	writeFile
	write, sync, close error
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.write != nil {
		n, _ := f.writeFile.Write(p[:len(p)/2]) // a short write
		return n, f.write
	}
	return f.writeFile.Write(p)
}

func (f *faultyFile) Sync() error { return errors.Join(f.sync, f.writeFile.Sync()) }

func (f *faultyFile) Close() error { return errors.Join(f.writeFile.Close(), f.close) }

func faultyCreate(fault faultyFile) func(o *operations) {
	return func(o *operations) {
		create := o.create
		o.create = func(name string) (writeFile, error) {
			file, err := create(name)
			f := fault
			f.writeFile = file
			return &f, err
		}
	}
}

// TestFaultsOfAWrite: each step that fails gives its error, makes nothing
// visible, leaves nothing in tmp, and gives its room back.
func TestFaultsOfAWrite(t *testing.T) {
	errDisk := errors.New("input/output error")
	failing := func(string) error { return errDisk }
	for _, test := range []struct {
		name   string
		change func(o *operations)
		want   error
		stays  bool // in its place, for the sweep
	}{
		{"create", func(o *operations) { o.create = func(string) (writeFile, error) { return nil, errDisk } }, errDisk, false},
		{"create on a full disk", func(o *operations) { o.create = func(string) (writeFile, error) { return nil, syscall.ENOSPC } }, registry.ErrNoSpace, false},
		{"write", faultyCreate(faultyFile{write: errDisk}), errDisk, false},
		{"write on a full disk", faultyCreate(faultyFile{write: syscall.ENOSPC}), registry.ErrNoSpace, false},
		{"write over the quota", faultyCreate(faultyFile{write: syscall.EDQUOT}), registry.ErrNoSpace, false},
		{"sync", faultyCreate(faultyFile{sync: errDisk}), errDisk, false},
		{"sync on a full disk", faultyCreate(faultyFile{sync: syscall.ENOSPC}), registry.ErrNoSpace, false},
		{"close", faultyCreate(faultyFile{close: errDisk}), errDisk, false},
		{"make directory", func(o *operations) { o.makeDirectory = failing }, errDisk, false},
		{"rename", func(o *operations) { o.rename = func(string, string) error { return errDisk } }, errDisk, false},
		{"sync of the store's directory", func(o *operations) {
			o.syncDirectory = func(name string) error {
				if filepath.Base(filepath.Dir(name)) != "blobs" && len(filepath.Base(name)) != 8 {
					return errDisk
				}
				return nil
			}
		}, errDisk, false},
		{"sync of the blob's directory", func(o *operations) {
			o.syncDirectory = func(name string) error {
				if len(filepath.Base(name)) == 8 { // 00000000
					return errDisk
				}
				return nil
			}
		}, errDisk, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, 1, test.change)
			locator := registry.NewLocator(1)
			err := writeBlob(s, locator, 1000)
			if !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			if _, err := s.Stat(t.Context(), locator); errors.Is(err, registry.ErrBlobNotFound) == test.stays {
				t.Errorf("in its place: %v", err)
			}
			if entries, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory)); err != nil || len(entries) > 0 {
				t.Errorf("tmp has %v, %v", entries, err)
			}
			if s.space.taken != 0 {
				t.Errorf("%d bytes are still set aside", s.space.taken)
			}
		})
	}
}

// writeBlob writes as a registry does: it aborts what fails.
func writeBlob(s *Store, locator registry.Locator, size int) error {
	w, err := s.Create(context.Background(), locator, int64(size))
	if err != nil {
		return err
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := w.Commit(context.Background()); err != nil {
		return errors.Join(err, w.Abort())
	}
	return nil
}

// TestAFailedSyncOfANewDirectoryIsRemembered: the next sync may succeed although
// the directory's name is lost.
func TestAFailedSyncOfANewDirectoryIsRemembered(t *testing.T) {
	var fail atomic.Bool
	fail.Store(true)
	errDisk := errors.New("input/output error")
	s := newStore(t, 1, func(o *operations) {
		o.syncDirectory = func(string) error {
			if fail.Load() {
				return errDisk
			}
			return nil
		}
	})
	for range 2 {
		if err := writeBlob(s, registry.NewLocator(1), 10); !errors.Is(err, errDisk) {
			t.Fatalf("error is %v", err)
		}
		fail.Store(false)
	}
	if err := writeBlob(s, registry.NewLocator(1<<40), 10); err != nil {
		t.Errorf("another directory: %v", err)
	}
}

// TestCommitsShareASync: while one sync of a directory runs, all that come wait
// for the next one together, and none counts as synced by the one that ran.
func TestCommitsShareASync(t *testing.T) {
	var syncs atomic.Int32
	began, release := make(chan struct{}), make(chan struct{})
	d := newDirectorySync(func(string) error {
		if syncs.Add(1) == 1 {
			close(began)
			<-release
		}
		return nil
	})
	var waiting sync.WaitGroup
	waiting.Go(func() { _ = d.wait("x") })
	<-began
	const followers = 20
	joined := make(chan struct{}, followers)
	for range followers {
		waiting.Go(func() {
			round, previous, leading := d.join("x")
			joined <- struct{}{}
			if leading {
				<-previous.done
				d.begin("x")
				round.err = d.sync("x")
				d.end("x")
				close(round.done)
			}
			<-round.done
		})
	}
	for range followers {
		<-joined
	}
	close(release)
	waiting.Wait()
	if got := syncs.Load(); got != 2 {
		t.Errorf("%d syncs for %d commits", got, followers+1)
	}
	if len(d.queues) > 0 {
		t.Errorf("%d queues are left", len(d.queues))
	}
}

func TestAFailedSyncFailsItsRoundAndNoOther(t *testing.T) {
	errDisk := errors.New("input/output error")
	var syncs atomic.Int32
	d := newDirectorySync(func(string) error {
		if syncs.Add(1) == 1 {
			return errDisk
		}
		return nil
	})
	if err := d.wait("x"); !errors.Is(err, errDisk) {
		t.Errorf("first round: %v", err)
	}
	if err := d.wait("x"); err != nil {
		t.Errorf("second round: %v", err)
	}
	var failed atomic.Int32
	syncs.Store(0)
	var waiting sync.WaitGroup
	for range 50 {
		waiting.Go(func() {
			if d.wait("y") != nil {
				failed.Add(1)
			}
		})
	}
	waiting.Wait()
	if failed.Load() == 0 {
		t.Error("nobody heard of the failed sync")
	}
}

// TestEveryCommitIsFollowedByASync: a sync of the directory begins after each
// rename and before its commit returns.
func TestEveryCommitIsFollowedByASync(t *testing.T) {
	var mu sync.Mutex
	renamed, synced := make(map[string]bool), make(map[string]bool)
	s := newStore(t, 1, func(o *operations) {
		rename, syncDirectory := o.rename, o.syncDirectory
		o.rename = func(from, to string) error {
			err := rename(from, to)
			mu.Lock()
			renamed[to] = true
			mu.Unlock()
			return err
		}
		o.syncDirectory = func(name string) error {
			mu.Lock()
			var covered []string
			for path := range renamed {
				if filepath.Dir(path) == name {
					covered = append(covered, path)
				}
			}
			mu.Unlock()
			err := syncDirectory(name)
			mu.Lock()
			for _, path := range covered {
				synced[path] = true
			}
			mu.Unlock()
			return err
		}
	})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := range 20 {
				locator := registry.NewLocator(uint64(i) * 3_000)
				if err := writeBlob(s, locator, 10); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if !synced[filepath.Join(s.path, filepath.FromSlash(string(locator)))] {
					t.Errorf("%s was acknowledged without a sync", locator)
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
}
