package filesystem

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// fakeDisk is a file system of which a test says how much is free.
type fakeDisk struct{ free atomic.Int64 }

func newDisk(free int64) *fakeDisk {
	d := new(fakeDisk)
	d.free.Store(free)
	return d
}

func (d *fakeDisk) store(t *testing.T, reserve int64) *Store {
	t.Helper()
	return newStore(t, reserve, func(o *steps) {
		o.free = func(string) (uint64, error) { return uint64(d.free.Load()), nil }
	})
}

// write writes bytes as the file system would count them.
func (d *fakeDisk) write(t *testing.T, w registry.BlobWriter, bytes int) error {
	t.Helper()
	n, err := w.Write(make([]byte, bytes))
	d.free.Add(int64(-n))
	return err
}

const mebi = 1 << 20

func (s *Store) mustCreate(t *testing.T, size int64) registry.BlobWriter {
	t.Helper()
	w, err := s.Create(context.Background(), registry.NewLocator(1), size)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wantNoSpace(t *testing.T, s *Store, size int64) {
	t.Helper()
	before, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory))
	if err != nil {
		t.Fatal(err)
	}
	if w, err := s.Create(context.Background(), registry.NewLocator(1), size); !errors.Is(err, registry.ErrNoSpace) {
		t.Errorf("an upload of %d bytes: %v, %v", size, w, err)
	}
	if after, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory)); err != nil || len(after) != len(before) {
		t.Errorf("tmp has %v, %v", after, err)
	}
}

func TestUploadsUnderWayCount(t *testing.T) {
	d := newDisk(110 * mebi)
	s := d.store(t, 10*mebi)
	first := s.mustCreate(t, 60*mebi)
	wantNoSpace(t, s, 41*mebi)
	wantNoSpace(t, s, 1<<60)
	if err := d.write(t, first, 30*mebi); err != nil {
		t.Fatal(err)
	}
	wantNoSpace(t, s, 41*mebi) // half of the first is written, half still promised
	second := s.mustCreate(t, 40*mebi)
	wantNoSpace(t, s, 1)
	wantNoSpace(t, s, 0)
	if err := second.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := s.mustCreate(t, 39*mebi).Abort(); err != nil {
		t.Fatal(err)
	}
	if err := d.write(t, first, 30*mebi); err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.space.taken != 0 {
		t.Errorf("%d bytes are still set aside", s.space.taken)
	}
}

func TestUploadsOfUnknownSizeCountAsTheyGrow(t *testing.T) {
	d := newDisk(60 * mebi)
	s := d.store(t, 10*mebi)
	w := s.mustCreate(t, -1)
	written := 0
	var err error
	for ; err == nil && written < 100; written++ {
		err = d.write(t, w, mebi)
	}
	if !errors.Is(err, registry.ErrNoSpace) {
		t.Errorf("error is %v", err)
	}
	if left := d.free.Load(); left < 10*mebi || written < 30 {
		t.Errorf("%d MiB were written, %d bytes are free: the reserve is 10 MiB", written, left)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if s.space.taken != 0 {
		t.Errorf("%d bytes are still set aside", s.space.taken)
	}
}

func TestAnUploadLargerThanAnnouncedIsCounted(t *testing.T) {
	d := newDisk(40 * mebi)
	s := d.store(t, 10*mebi)
	w := s.mustCreate(t, 1)
	if err := d.write(t, w, 20*mebi); err != nil {
		t.Fatal(err)
	}
	if err := d.write(t, w, 11*mebi); !errors.Is(err, registry.ErrNoSpace) {
		t.Errorf("error is %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
}

func TestTheReserveCanChangeWhileOpen(t *testing.T) {
	d := newDisk(100 * mebi)
	s := d.store(t, 10*mebi)
	if err := (&Backend{Reserve: 200 * mebi}).AdjustBlobs(s); err != nil {
		t.Fatal(err)
	}
	wantNoSpace(t, s, 1)
	if err := (&Backend{Reserve: mebi}).AdjustBlobs(s); err != nil {
		t.Fatal(err)
	}
	if err := s.mustCreate(t, 98*mebi).Abort(); err != nil {
		t.Fatal(err)
	}
	if err := (&Backend{}).AdjustBlobs(nil); err == nil {
		t.Error("a store of another kind is adjusted")
	}
}

func TestFaultsOfOpening(t *testing.T) {
	root := t.TempDir()
	store, err := (&Backend{Reserve: 1}).OpenBlobs(t.Context(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Backend{Reserve: 1}).OpenBlobs(t.Context(), root, discard); !errors.Is(err, registry.ErrLocked) || !strings.Contains(err.Error(), filepath.Join(root, "blobs")) {
		t.Errorf("a store that is open: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Backend{Reserve: 1 << 61}).OpenBlobs(t.Context(), root, discard); !registry.IsState(err) || !errors.Is(err, registry.ErrNoSpace) {
		t.Errorf("less room than the reserve: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "blobs", "FORMAT"), []byte(layout+" 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Backend{Reserve: 1}).OpenBlobs(t.Context(), root, discard); !errors.Is(err, registry.ErrFormat) || registry.IsState(err) {
		t.Errorf("a newer layout: %v", err)
	}
}

func TestOpeningTidiesUp(t *testing.T) {
	root := t.TempDir()
	backend := &Backend{Reserve: 1}
	store, err := backend.OpenBlobs(t.Context(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	s := store.(*Store)
	kept, deleted := registry.NewLocator(1), registry.NewLocator(1<<40)
	for _, locator := range []registry.Locator{kept, deleted} {
		if err := writeBlob(s, locator, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	s.mustCreate(t, 100) // never ended
	foreign := filepath.Join(s.path, "Not-Ours.txt")
	if err := os.WriteFile(foreign, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = backend.OpenBlobs(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	entries, err := os.ReadDir(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if got := strings.Join(names, " "); got != ".lock 00000000 FORMAT Not-Ours.txt tmp" {
		t.Errorf("the directory has %s", got)
	}
	if entries, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory)); err != nil || len(entries) > 0 {
		t.Errorf("tmp has %v, %v", entries, err)
	}
	for _, name := range []string{s.path, filepath.Join(s.path, "00000000"), filepath.Join(s.path, "00000000", string(kept)[9:])} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestIdentityIsTheDirectoryItself(t *testing.T) {
	root := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	backend := new(Backend)
	if backend.Identity(root) != backend.Identity(link) || backend.Identity(root) != backend.Identity(root+"/x/..") {
		t.Errorf("%s, %s", backend.Identity(root), backend.Identity(link))
	}
	if other := (&Backend{Dir: filepath.Join(link, "blobs")}).Identity("/elsewhere"); other != backend.Identity(root) {
		t.Errorf("named by dir: %s", other)
	}
	if backend.Identity(root) == backend.Identity(filepath.Join(root, "below")) {
		t.Error("two directories are one")
	}
}
