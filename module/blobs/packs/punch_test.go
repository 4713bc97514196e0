package packs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// stubborn is a disk that takes no blocks out of a file, and says so when a file is closed
// too.
type stubborn struct {
	quick
	punch, close  error
	writes, tries int // of WriteAt, and of Punch
}

func (d *stubborn) Edit(name string) (disk.File, error) {
	file, err := d.quick.Edit(name)
	return stubbornFile{file, d}, err
}

type stubbornFile struct {
	disk.File
	disk *stubborn
}

func (f stubbornFile) Punch(from, bytes int64) error {
	f.disk.tries++
	if f.disk.punch != nil {
		return f.disk.punch
	}
	return f.File.Punch(from, bytes)
}

func (f stubbornFile) WriteAt(p []byte, from int64) (int, error) {
	f.disk.writes++
	return f.File.WriteAt(p, from)
}

func (f stubbornFile) Close() error { return errors.Join(f.disk.close, f.File.Close()) }

// TestAFullDiskGetsPacksBack although it has no room for a hole, as XFS can need: each blob is
// deleted all the same, and stays deleted, the store opens, and the last blob of a pack takes
// the file with it.
// Seen to fail with deletions that a full disk refuses, of a blob and of a block of the table,
// and with an opening that it refuses.
func TestAFullDiskGetsPacksBack(t *testing.T) {
	path := t.TempDir()
	full := &stubborn{}
	layout := format.Layout{Slots: 200, Blocks: 8 * format.Largest / format.BlockSize, Step: 1 << 20, Open: 2}
	s := mustOpen(t, path, full, layout)
	var locators []store.Locator
	for i := range 10 {
		locators = append(locators, mustPut(t, s, contentOf(i, format.Largest)))
	}
	full.punch = syscall.ENOSPC
	for _, locator := range locators[:7] {
		must(t, s.Delete(locator))
	}
	must(t, s.Close())
	s = mustOpen(t, path, full, layout)
	if got := walked(t, s); len(got) != 3 {
		t.Errorf("%v are there", got)
	}
	mustPut(t, s, nil) // to the last pack
	must(t, s.Delete(locators[7]))
	if got := files(t, path); !slices.Equal(got, []string{"0000002"}) {
		t.Errorf("packs are %v", got)
	}
}

// TestWhatIsPutAsideIsGone once its slot is marked, whatever the disk says about its blocks.
// Seen to fail with a hole, and with the closing of a file, whose errors bring the blob back.
func TestWhatIsPutAsideIsGone(t *testing.T) {
	for _, failing := range []*stubborn{{punch: syscall.EIO}, {close: syscall.EIO}} {
		path := t.TempDir()
		s := mustOpen(t, path, disk.OS{}, little)
		locator := mustPut(t, s, contentOf(1, 10))
		must(t, s.Close())
		flip(t, filepath.Join(path, "0000001"), little.At(0), 0)
		s = mustOpen(t, path, failing, little)
		must(t, s.Drop(locator))
		_, err := s.Read(locator, 10)
		wantError(t, err, store.ErrBlobNotFound)
	}
}

// TestOpeningWritesNothingWithoutHoles where a file system takes no blocks out of a file: what
// was deleted was written over, and stays for as long as its pack.
// Seen to fail with zeros that are written at each start, and with a try for each pack.
func TestOpeningWritesNothingWithoutHoles(t *testing.T) {
	path := t.TempDir()
	plain := &stubborn{punch: syscall.EOPNOTSUPP}
	layout := format.Layout{Slots: 200, Blocks: 8 * format.Largest / format.BlockSize, Step: 1 << 20, Open: 2}
	s := mustOpen(t, path, plain, layout)
	var locators []store.Locator
	for i := range 20 {
		locators = append(locators, mustPut(t, s, contentOf(i, format.Largest)))
	}
	for i, locator := range locators[:16] {
		if i%8 > 0 {
			must(t, s.Delete(locator))
		}
	}
	must(t, s.Close())
	content, err := os.ReadFile(filepath.Join(path, "0000001"))
	must(t, err)
	if bytes.Contains(content, contentOf(1, 8)) {
		t.Error("a deleted blob is still there")
	}
	plain.writes, plain.tries = 0, 0
	s = mustOpen(t, path, plain, layout)
	if plain.writes > 0 || plain.tries > 1 {
		t.Errorf("opening wrote %d times, and tried %d times to take blocks out", plain.writes, plain.tries)
	}
	wantContent(t, s, locators[8], contentOf(8, format.Largest))
}
