package packs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// badSectors cannot be read: the blocks of a pack that begin there.
type badSectors map[string][]int64

func (b badSectors) reader(file *os.File) io.ReaderAt {
	return badFile{file, b[filepath.Base(file.Name())]}
}

type badFile struct {
	*os.File
	bad []int64
}

func (f badFile) ReadAt(p []byte, from int64) (int, error) {
	for _, bad := range f.bad {
		if from < bad+format.BlockSize && from+int64(len(p)) > bad {
			return 0, syscall.EIO
		}
	}
	return f.File.ReadAt(p, from)
}

// TestASectorThatCannotBeReadCostsItsBlobsOnly, for as long as it cannot: opening and walking
// go on without them. Nothing is written to their pack, and it is not removed.
// Seen to fail with a table that is only read whole, when it is opened and when it is walked,
// with a pack that is gone on with, and with slots that are taken for empty ones.
func TestASectorThatCannotBeReadCostsItsBlobsOnly(t *testing.T) {
	path := t.TempDir()
	layout := format.Layout{Slots: 200, Blocks: 200, Step: 8 << 10, Open: 2}
	bad := make(badSectors)
	reopen := func() (*Store, error) {
		return Open(path, Options{FS: quick{}, Log: discard, IsThere: isThere, HasRoom: func(int64) bool { return true }, Layout: layout, reader: bad.reader})
	}
	s, err := reopen()
	must(t, err)
	var locators []store.Locator
	for i := range 210 {
		locators = append(locators, mustPut(t, s, contentOf(i, 10)))
	}
	for _, locator := range locators[format.SlotsPerBlock:layout.Slots] {
		if locator != locators[150] {
			must(t, s.Delete(locator))
		}
	}
	must(t, s.Close())

	bad["0000001"], bad["0000002"] = []int64{0}, []int64{0}
	s, err = reopen()
	must(t, err)
	wantContent(t, s, locators[150], contentOf(150, 10))
	for _, i := range []int{0, 205} {
		_, err = s.Read(locators[i], 10)
		wantError(t, err, syscall.EIO)
		wantError(t, s.PutAt(context.Background(), locators[i], nil), os.ErrExist)
	}
	later := mustPut(t, s, []byte("later"))
	wantContent(t, s, later, []byte("later"))
	if got := walked(t, s); len(got) != 2 || !slices.Contains(got, locators[150]) || !slices.Contains(got, later) {
		t.Errorf("%v are walked", got)
	}
	must(t, s.Delete(locators[150]))
	if got := files(t, path); !slices.Equal(got, []string{"0000001", "0000002", "0000003"}) {
		t.Errorf("packs are %v", got)
	}
	clear(bad)
	wantContent(t, s, locators[0], contentOf(0, 10))
	wantContent(t, s, locators[205], contentOf(205, 10))
	must(t, s.Close())

	bad["0000001"] = []int64{0, format.BlockSize}
	if s, err = reopen(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a table that cannot be read at all: %v", err)
		must(t, s.Close())
	}
}
