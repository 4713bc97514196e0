package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var errDisk = errors.New("input/output error")

// directorySteps records what is done to directories, and fails where it is told
// to.
type directorySteps struct {
	done                  []string
	failSync, failRemoval bool
}

func (d *directorySteps) change(o *steps) {
	makeDirectory, syncDirectory, remove := o.makeDirectory, o.syncDirectory, o.remove
	o.makeDirectory = func(name string) error { return d.note("make", false, name, makeDirectory) }
	o.syncDirectory = func(name string) error { return d.note("sync", d.failSync, name, syncDirectory) }
	o.remove = func(name string) error { return d.note("remove", d.failRemoval, name, remove) }
}

func (d *directorySteps) note(step string, fail bool, name string, do func(string) error) error {
	if len(filepath.Base(name)) == 8 {
		step += " " + filepath.Base(name)
	}
	if fail {
		d.done = append(d.done, step+" fails")
		return errDisk
	}
	d.done = append(d.done, step)
	return do(name)
}

// wantDone compares the steps since the last call.
func (d *directorySteps) wantDone(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.done, want) {
		t.Errorf("steps: %s; want %s", strings.Join(d.done, ", "), strings.Join(want, ", "))
	}
	d.done = nil
}

// TestADirectoryWhoseSyncFailedIsMadeAnew: a second sync of the same name may
// succeed although it is lost.
func TestADirectoryWhoseSyncFailedIsMadeAnew(t *testing.T) {
	d := &directorySteps{failSync: true}
	s := newStore(t, 1, d.change)
	if err := writeBlob(s, store.NewLocator(1), 10); !errors.Is(err, errDisk) {
		t.Fatalf("error is %v", err)
	}
	d.wantDone(t, "make 00000000", "sync fails", "remove 00000000", "remove")
	if _, err := os.Stat(filepath.Join(s.path, "00000000")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
	d.failSync = false
	for range 2 {
		if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
			t.Fatal(err)
		}
	}
	d.wantDone(t, "make 00000000", "sync", "sync 00000000", "sync 00000000")
	wantNothingLeft(t, s)
}

// TestADirectoryThatCannotBeRemovedIsNotUsed until it can be.
func TestADirectoryThatCannotBeRemovedIsNotUsed(t *testing.T) {
	d := &directorySteps{failSync: true, failRemoval: true}
	s := newStore(t, 1, d.change)
	for range 2 {
		if err := writeBlob(s, store.NewLocator(1), 10); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "syncing new directory") {
			t.Fatalf("error is %v", err)
		}
		d.failSync = false
	}
	d.wantDone(t, "make 00000000", "sync fails", "remove 00000000 fails", "remove fails", "remove 00000000 fails", "remove fails")
	if err := writeBlob(s, store.NewLocator(1<<40), 10); err != nil {
		t.Errorf("another directory: %v", err)
	}
	d.done, d.failRemoval = nil, false
	if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
		t.Errorf("once it can be removed: %v", err)
	}
	d.wantDone(t, "remove 00000000", "make 00000000", "sync", "sync 00000000")
}

// TestOpeningTrustsDirectoriesThatHaveBlobs, and nothing but them.
func TestOpeningTrustsDirectoriesThatHaveBlobs(t *testing.T) {
	path := t.TempDir()
	s, err := openWith(path, 1, newSteps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeBlob(s, store.NewLocator(1), 10), os.Mkdir(filepath.Join(path, "0000000z"), 0o700), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(path, temporaryDirectory)), os.Remove(filepath.Join(path, packDirectory))); err != nil {
		t.Fatal(err)
	}
	o := newSteps()
	d := &directorySteps{failRemoval: true}
	d.change(o)
	if s, err = openWith(path, 1, o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d.wantDone(t, "make", "remove 0000000z fails", "make", "sync")
	if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
		t.Error(err)
	}
	d.wantDone(t, "sync 00000000")
	if err := writeBlob(s, store.NewLocator(35*10_000), 10); !errors.Is(err, errDisk) {
		t.Errorf("a directory that cannot be removed: %v", err)
	}
	d.done, d.failRemoval = nil, false
	if err := writeBlob(s, store.NewLocator(35*10_000), 10); err != nil {
		t.Error(err)
	}
	d.wantDone(t, "remove 0000000z", "make 0000000z", "sync", "sync 0000000z")
}

// TestOpeningFails where tidying does, and gives the directory back.
func TestOpeningFails(t *testing.T) {
	for _, test := range []struct {
		name string
		path func(t *testing.T) string
		fail func(o *steps)
	}{
		{"removing uploads", withUpload, func(o *steps) { o.remove = func(string) error { return errDisk } }},
		{"making the directory of uploads", emptyPath, func(o *steps) { o.makeDirectory = func(string) error { return errDisk } }},
		{"syncing the store's directory", emptyPath, func(o *steps) { o.syncDirectory = func(string) error { return errDisk } }},
		{"asking for room", emptyPath, func(o *steps) { o.free = func(string) (disk.Space, error) { return disk.Space{}, errDisk } }},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, o := test.path(t), newSteps()
			test.fail(o)
			if _, err := openWith(path, 1, o); !errors.Is(err, errDisk) {
				t.Fatalf("error is %v", err)
			}
			openStore(t, path, 1, nil)
		})
	}
}

func emptyPath(t *testing.T) string { return t.TempDir() }

func withUpload(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	s, err := openWith(path, 1, newSteps())
	if err != nil {
		t.Fatal(err)
	}
	s.mustBegin(t, 100) // never ended
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
