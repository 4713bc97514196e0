package packs

import (
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// stubborn is a disk that takes no blocks out of a file, and says so when a file is closed
// too.
type stubborn struct {
	quick
	punch, close error
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
	if f.disk.punch != nil {
		return f.disk.punch
	}
	return f.File.Punch(from, bytes)
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
	layout := Layout{Slots: 200, Blocks: 8 * Largest / blockSize, Step: 1 << 20, Open: 2}
	s := mustOpen(t, path, full, layout)
	var locators []store.Locator
	for i := range 10 {
		locators = append(locators, mustPut(t, s, contentOf(i, Largest)))
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
		flip(t, filepath.Join(path, "0000001"), little.at(0), 0)
		s = mustOpen(t, path, failing, little)
		must(t, s.Drop(locator))
		_, err := s.Read(locator, 10)
		wantError(t, err, store.ErrBlobNotFound)
	}
}
