package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// faultyFile fails at its writes, sync or close.
type faultyFile struct {
	disk.File
	allocate, write, flush, sync, close error
}

func (f *faultyFile) Flush() error { return errors.Join(f.flush, f.File.Flush()) }

func (f *faultyFile) Allocate(from, bytes int64) error {
	if f.allocate != nil {
		return f.allocate
	}
	return f.File.Allocate(from, bytes)
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.write != nil {
		n, _ := f.File.Write(p[:len(p)/2]) // a short write
		return n, f.write
	}
	return f.File.Write(p)
}

func (f *faultyFile) Sync() error { return errors.Join(f.sync, f.File.Sync()) }

func (f *faultyFile) Close() error { return errors.Join(f.File.Close(), f.close) }

func faultyCreate(fault faultyFile) func(o *steps) {
	return func(o *steps) {
		create := o.create
		o.create = func(name string) (disk.File, error) {
			file, err := create(name)
			f := fault
			f.File = file
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
		change func(o *steps)
		want   error
		stays  bool // in its place, for the sweep
	}{
		{"create", func(o *steps) { o.create = func(string) (disk.File, error) { return nil, errDisk } }, errDisk, false},
		{"create on a full disk", func(o *steps) { o.create = func(string) (disk.File, error) { return nil, syscall.ENOSPC } }, store.ErrNoSpace, false},
		{"allocate", faultyCreate(faultyFile{allocate: errDisk}), errDisk, false},
		{"allocate on a full disk", faultyCreate(faultyFile{allocate: syscall.ENOSPC}), store.ErrNoSpace, false},
		{"write", faultyCreate(faultyFile{write: errDisk}), errDisk, false},
		{"write on a full disk", faultyCreate(faultyFile{write: syscall.ENOSPC}), store.ErrNoSpace, false},
		{"write over the quota", faultyCreate(faultyFile{write: syscall.EDQUOT}), store.ErrNoSpace, false},
		{"flush", faultyCreate(faultyFile{flush: errDisk}), errDisk, false},
		{"flush on a full disk", faultyCreate(faultyFile{flush: syscall.ENOSPC}), store.ErrNoSpace, false},
		{"sync", faultyCreate(faultyFile{sync: errDisk}), errDisk, false},
		{"sync on a full disk", faultyCreate(faultyFile{sync: syscall.ENOSPC}), store.ErrNoSpace, false},
		{"close", faultyCreate(faultyFile{close: errDisk}), errDisk, false},
		{"make directory", func(o *steps) { o.makeDirectory = failing }, errDisk, false},
		{"rename", func(o *steps) { o.rename = func(string, string) error { return errDisk } }, errDisk, false},
		{"sync of the store's directory", func(o *steps) {
			o.syncDirectory = func(name string) error {
				if filepath.Base(filepath.Dir(name)) != "blobs" && len(filepath.Base(name)) != 8 {
					return errDisk
				}
				return nil
			}
		}, errDisk, false},
		{"sync of the blob's directory", func(o *steps) {
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
			locator := store.NewLocator(1)
			err := writeBlob(s, locator, flushStep)
			if !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			if _, err := s.Stat(t.Context(), locator); errors.Is(err, store.ErrBlobNotFound) == test.stays {
				t.Errorf("in its place: %v", err)
			}
			wantNothingLeft(t, s)
		})
	}
}

func commit(w store.BlobWriter) error {
	_, err := w.Commit(context.Background())
	return err
}

// writeBlob writes as a registry does: it aborts what fails.
func writeBlob(s *Store, locator store.Locator, size int) error {
	w, err := s.CreateAt(context.Background(), locator, int64(size))
	if err != nil {
		return err
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := commit(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	return nil
}

// putBlob writes a small blob as a registry does.
func putBlob(s *Store, content []byte) (store.Locator, error) {
	w, err := s.Create(context.Background(), int64(len(content)))
	if err != nil {
		return "", err
	}
	if _, err := w.Write(content); err != nil {
		return "", errors.Join(err, w.Abort())
	}
	return w.Commit(context.Background())
}

// stumblingFile fails at its first write or sync, and does the next one: as a
// kernel does that has dropped the pages it could not write.
type stumblingFile struct {
	disk.File
	write, sync *atomic.Bool
}

var errStumble = errors.New("input/output error, once")

func (f *stumblingFile) Write(p []byte) (int, error) {
	if f.write.Swap(false) {
		n, _ := f.File.Write(p[:1])
		return n, errStumble
	}
	return f.File.Write(p)
}

func (f *stumblingFile) Sync() error {
	if f.sync.Swap(false) {
		return errStumble
	}
	return f.File.Sync()
}

// TestNothingIsTriedTwice: after a failed write or sync neither the caller nor
// the store can have the blob, and without an Abort nothing is left of it.
// Seen to fail with a failed sync tried again.
func TestNothingIsTriedTwice(t *testing.T) {
	var write, sync atomic.Bool
	s := newStore(t, 1, func(o *steps) {
		create := o.create
		o.create = func(name string) (disk.File, error) {
			file, err := create(name)
			return &stumblingFile{file, &write, &sync}, err
		}
	})
	for _, test := range []struct {
		name   string
		step   *atomic.Bool
		writes bool // is the error of the write
	}{
		{"a write", &write, true},
		{"a sync", &sync, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			locator := store.NewLocator(1)
			w, err := s.CreateAt(t.Context(), locator, 100)
			if err != nil {
				t.Fatal(err)
			}
			test.step.Store(true)
			if _, err := w.Write([]byte("content")); errors.Is(err, errStumble) != test.writes {
				t.Fatalf("writing: %v", err)
			}
			if err := commit(w); !errors.Is(err, errStumble) {
				t.Errorf("committing: %v", err)
			}
			if err := commit(w); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("committing again: %v", err)
			}
			if _, err := s.Stat(t.Context(), locator); !errors.Is(err, store.ErrBlobNotFound) {
				t.Errorf("in its place: %v", err)
			}
			wantNothingLeft(t, s)
			if err := w.Abort(); err != nil {
				t.Errorf("aborting what has ended: %v", err)
			}
		})
	}
}

func wantNothingLeft(t *testing.T, s *Store) {
	t.Helper()
	if entries, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory)); err != nil || len(entries) > 0 {
		t.Errorf("tmp has %v, %v", entries, err)
	}
	if s.space.taken != 0 {
		t.Errorf("%d bytes are still set aside", s.space.taken)
	}
}

// TestABlobIsNeverReplaced: a locator used twice is an error, at once and later.
func TestABlobIsNeverReplaced(t *testing.T) {
	s := newStore(t, 1, nil)
	locator := store.NewLocator(1)
	w, err := s.CreateAt(t.Context(), locator, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w, 1); err != nil {
		t.Fatal(err)
	}
	if err := writeBlob(s, locator, 20); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second writer: %v", err)
	}
	if err := commit(w); err != nil {
		t.Fatal(err)
	}
	if err := writeBlob(s, locator, 20); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a later writer: %v", err)
	}
	if size, err := s.Stat(t.Context(), locator); err != nil || size != 1 {
		t.Errorf("the first blob has %d bytes, %v, want 1", size, err)
	}
	wantNothingLeft(t, s)
}

func TestFaultsOfRemoving(t *testing.T) {
	errDisk := errors.New("input/output error")
	s := newStore(t, 1, func(o *steps) { o.remove = func(string) error { return errDisk } })
	w := s.mustBegin(t, 1000)
	if err := w.Abort(); !errors.Is(err, errDisk) {
		t.Errorf("aborting: %v", err)
	}
	if s.space.taken != 0 {
		t.Errorf("%d bytes are still set aside", s.space.taken)
	}
	if err := commit(w); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("committing what was aborted: %v", err)
	}
	if err := s.Delete(t.Context(), store.NewLocator(1)); !errors.Is(err, errDisk) {
		t.Errorf("deleting: %v", err)
	}
}

// TestAFullDiskIsAFaultOfState: a new store's format mark does not fit, but will
// when room is made, so the configuration stands.
func TestAFullDiskIsAFaultOfState(t *testing.T) {
	take := func() (*directory.Claim, error) {
		return nil, &fs.PathError{Op: "write", Path: t.TempDir(), Err: syscall.ENOSPC}
	}
	if _, err := open(take, 1, discard, disk.OS{}, fewAtOnce); !store.IsState(err) || !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("error is %v", err)
	}
}
