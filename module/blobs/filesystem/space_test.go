package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// fakeDisk is a file system of which a test says how much is free, and whether it
// sets room aside.
type fakeDisk struct {
	free      atomic.Int64
	files     atomic.Int64
	allocates bool
	taken     map[string]int64 // by files
}

func newDisk(free int64) *fakeDisk {
	d := &fakeDisk{taken: make(map[string]int64)}
	d.free.Store(free)
	d.files.Store(directory.ReserveFiles)
	return d
}

func (d *fakeDisk) store(t *testing.T, reserve int64) *Store {
	t.Helper()
	return newStore(t, reserve, func(o *steps) {
		o.free = func(string) (disk.Space, error) {
			return disk.Space{Bytes: uint64(d.free.Load()), Files: uint64(d.files.Load())}, nil
		}
		create, remove := o.create, o.remove
		o.create = func(name string) (disk.File, error) {
			file, err := create(name)
			return &fakeFile{file, d, name, 0}, err
		}
		o.remove = func(name string) error {
			d.take(name, -d.taken[name])
			return remove(name)
		}
	})
}

func (d *fakeDisk) take(name string, bytes int64) {
	d.taken[name] += bytes
	d.free.Add(-bytes)
}

type fakeFile struct {
	disk.File
	disk *fakeDisk
	name string
	size int64
}

func (f *fakeFile) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	f.disk.take(f.name, max(0, f.size-f.disk.taken[f.name]))
	return len(p), nil
}

func (f *fakeFile) Allocate(_, bytes int64) error {
	if f.disk.allocates {
		f.disk.take(f.name, max(0, bytes-f.disk.taken[f.name]))
	}
	return nil
}

func (f *fakeFile) Allocated() (int64, error) { return f.disk.taken[f.name], nil }

func (f *fakeFile) Truncate(size int64) error {
	f.disk.take(f.name, size-f.disk.taken[f.name])
	return nil
}

func write(w store.BlobWriter, bytes int) error {
	_, err := w.Write(make([]byte, bytes))
	return err
}

const mebi = 1 << 20

func (s *Store) mustCreate(t *testing.T, size int64) store.BlobWriter {
	t.Helper()
	w, err := s.CreateAt(context.Background(), store.NewLocator(1), size)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mustBegin is mustCreate, with the first byte.
func (s *Store) mustBegin(t *testing.T, size int64) store.BlobWriter {
	t.Helper()
	w := s.mustCreate(t, size)
	if err := write(w, 1); err != nil {
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
	if w, err := s.CreateAt(context.Background(), store.NewLocator(1), size); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("an upload of %d bytes: %v, %v", size, w, err)
	}
	if after, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory)); err != nil || len(after) != len(before) {
		t.Errorf("tmp has %v, %v", after, err)
	}
}

// TestUploadsInProgressCount once, whether the file system sets their room aside or
// not.
func TestUploadsInProgressCount(t *testing.T) {
	for name, allocates := range map[string]bool{"promised": false, "set aside": true} {
		t.Run(name, func(t *testing.T) { wantUploadsCounted(t, allocates) })
	}
}

func wantUploadsCounted(t *testing.T, allocates bool) {
	d := newDisk(110 * mebi)
	d.allocates = allocates
	s := d.store(t, 10*mebi)
	first := s.mustCreate(t, 60*mebi)
	wantNoSpace(t, s, 101*mebi)
	wantNoSpace(t, s, 1<<60)
	if err := write(first, 30*mebi); err != nil {
		t.Fatal(err)
	}
	wantNoSpace(t, s, 41*mebi) // half of the first is written, as much again is promised
	for range 2 {
		if err := s.mustCreate(t, 40*mebi).Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(first, 30*mebi); err != nil {
		t.Fatal(err)
	}
	if err := commit(first); err != nil {
		t.Fatal(err)
	}
	if s.space.taken != 0 {
		t.Errorf("%d bytes are still set aside", s.space.taken)
	}
	if free := d.free.Load(); free != 50*mebi {
		t.Errorf("%d bytes are free", free)
	}
}

// TestAnnouncedBytesTakeNoRoom: what is set aside follows the bytes that came, and is
// never more than as much again, nor than allocateAhead beyond.
func TestAnnouncedBytesTakeNoRoom(t *testing.T) {
	const disk = 1 << 40
	for name, allocates := range map[string]bool{"promised": false, "set aside": true} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(disk)
			d.allocates = allocates
			s := d.store(t, 10*mebi)
			w := s.mustCreate(t, disk/2)
			came := int64(0)
			for _, bytes := range []int64{0, 1, 32 << 10, mebi, 30 * mebi, 100 * mebi, 100 * mebi} {
				if err := write(w, int(bytes)); err != nil {
					t.Fatal(err)
				}
				came += bytes
				if held := disk - d.free.Load() + s.space.taken; held < came || held > came+min(came, allocateAhead) {
					t.Errorf("after %d bytes %d are held", came, held)
				}
			}
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
			if d.free.Load() != disk || s.space.taken != 0 {
				t.Errorf("after all %d bytes are free, %d promised", d.free.Load(), s.space.taken)
			}
		})
	}
}

// TestWhatIsSetAsideIsGivenBack when less is written than was announced, and no
// more than was announced is free of charge.
func TestWhatIsSetAsideIsGivenBack(t *testing.T) {
	d := newDisk(50 * mebi)
	d.allocates = true
	s := d.store(t, 10*mebi)
	short := s.mustCreate(t, 20*mebi)
	if err := write(short, mebi); err != nil {
		t.Fatal(err)
	}
	if free := d.free.Load(); free != 48*mebi || s.space.taken != 0 {
		t.Errorf("%d bytes are free and %d promised", free, s.space.taken)
	}
	if err := commit(short); err != nil {
		t.Fatal(err)
	}
	if free := d.free.Load(); free != 49*mebi {
		t.Errorf("%d bytes are free", free)
	}
	long := s.mustCreate(t, 20*mebi)
	for _, bytes := range []int{10 * mebi, 11 * mebi} {
		if err := write(long, bytes); err != nil {
			t.Fatal(err)
		}
	}
	if promised := s.space.taken; promised > promiseStep {
		t.Errorf("%d bytes are promised", promised)
	}
	if err := write(long, 20*mebi); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("into the reserve: %v", err)
	}
	if err := long.Abort(); err != nil {
		t.Fatal(err)
	}
	if free := d.free.Load(); free != 49*mebi || s.space.taken != 0 {
		t.Errorf("%d bytes are free and %d promised", free, s.space.taken)
	}
}

// TestAFullDiskKeepsNoBlocksAhead: the last bytes of the disk are for bytes that came.
func TestAFullDiskKeepsNoBlocksAhead(t *testing.T) {
	d := newDisk(50 * mebi)
	d.allocates = true
	s := d.store(t, 10*mebi)
	w := s.mustCreate(t, 40*mebi)
	other := s.mustCreate(t, 10*mebi)
	if err := errors.Join(write(other, 10*mebi), write(w, 20*mebi), write(w, 10*mebi)); err != nil {
		t.Fatal(err)
	}
	if err := write(w, 1); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("into the reserve: %v", err)
	}
	if err := errors.Join(w.Abort(), other.Abort()); err != nil {
		t.Fatal(err)
	}
	if d.free.Load() != 50*mebi || s.space.taken != 0 {
		t.Errorf("%d bytes are free, %d promised", d.free.Load(), s.space.taken)
	}
}

func TestUploadsOfUnknownSizeCountAsTheyGrow(t *testing.T) {
	d := newDisk(60 * mebi)
	s := d.store(t, 10*mebi)
	w := s.mustCreate(t, -1)
	written := 0
	var err error
	for ; err == nil && written < 100; written++ {
		err = write(w, mebi)
	}
	if !errors.Is(err, store.ErrNoSpace) {
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
	if err := write(w, 20*mebi); err != nil {
		t.Fatal(err)
	}
	if err := write(w, 11*mebi); !errors.Is(err, store.ErrNoSpace) {
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
	blobs, err := (&Backend{Reserve: 1}).OpenBlobs(t.Context(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Backend{Reserve: 1}).OpenBlobs(t.Context(), root, discard); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), filepath.Join(root, "blobs")) {
		t.Errorf("a store that is open: %v", err)
	}
	if err := blobs.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Backend{Reserve: 1 << 61}).OpenBlobs(t.Context(), root, discard); !store.IsState(err) || !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("less room than the reserve: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "blobs", "FORMAT"), fmt.Appendln(nil, layout, layoutVersion+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Backend{Reserve: 1}).OpenBlobs(t.Context(), root, discard); !errors.Is(err, store.ErrFormat) || store.IsState(err) {
		t.Errorf("a newer layout: %v", err)
	}
}

func TestOpeningTidiesUp(t *testing.T) {
	root := t.TempDir()
	backend := &Backend{Reserve: 1}
	blobs, err := backend.OpenBlobs(t.Context(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	s := blobs.(*Store)
	kept, deleted := store.NewLocator(1), store.NewLocator(1<<40)
	for _, locator := range []store.Locator{kept, deleted} {
		if err := writeBlob(s, locator, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	s.mustBegin(t, smallBlob+1) // never ended
	foreign := filepath.Join(s.path, "Not-Ours.txt")
	if err := os.WriteFile(foreign, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if blobs, err = backend.OpenBlobs(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	entries, err := os.ReadDir(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if got := strings.Join(names, " "); got != ".lock 00000000 FORMAT Not-Ours.txt packs tmp" {
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
