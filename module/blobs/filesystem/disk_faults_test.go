package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// faultPlace has metadata in memory, which no fault reaches. The mark of the
// directory's format is there from the start: it does not go through the FS. The
// store sees the FS as through lets it.
func faultPlace(through func(disk.FS) disk.FS) storetest.FaultPlace {
	return storetest.FaultPlace{
		In: func(root string) func(disk.FS) (store.MetadataStore, store.BlobStore, error) {
			place := memory.NewMetadata()
			return func(fsys disk.FS) (store.MetadataStore, store.BlobStore, error) {
				if err := os.WriteFile(filepath.Join(root, "FORMAT"), fmt.Appendln(nil, layout, layoutVersion), disk.FilePermissions); err != nil {
					return nil, nil, err
				}
				blobs, err := openWith(root, 1, through(fsys))
				if err != nil {
					return nil, nil, err
				}
				metadata, err := place.Open()
				if err != nil {
					return nil, nil, errors.Join(err, blobs.Close())
				}
				return metadata, blobs, nil
			}
		},
		Uploads:    temporaryDirectory,
		Quarantine: quarantineDirectory,
	}
}

// TestFaults is of all blobs, small and large.
// Seen to fail with no sync of a blob's file, of its directory, or of the store's root; a
// rename before the sync; uploads of a crash that are not cleared; an aborted upload that
// stays; quarantine without the sync of the old directory.
func TestFaults(t *testing.T) {
	place := faultPlace(func(fsys disk.FS) disk.FS { return fsys })
	place.Every = 6
	storetest.Faults(t, place)
}

// lyingDisk leaves out or repeats what it is told to do. It is what the store would
// be if it did.
type lyingDisk struct {
	disk.FS
	unsynced  string // a directory of which neither names nor files are synced
	retry     bool   // failed syncs
	unremoved bool   // failed removals are silent
	vague     bool   // about a full disk
}

func (l lyingDisk) Create(name string) (disk.File, error) {
	file, err := l.FS.Create(name)
	return lyingFile{file, l, name}, l.say(err)
}

func (l lyingDisk) say(err error) error {
	if l.vague && disk.IsFull(err) {
		return syscall.EIO
	}
	return err
}

func (l lyingDisk) sync(directory string, sync func() error) error {
	if filepath.Base(directory) == l.unsynced {
		return nil
	}
	err := sync()
	if err != nil && l.retry {
		err = sync()
	}
	return l.say(err)
}

func (l lyingDisk) SyncDirectory(name string) error {
	return l.sync(name, func() error { return l.FS.SyncDirectory(name) })
}

func (l lyingDisk) Remove(name string) error {
	err := l.FS.Remove(name)
	if l.unremoved && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return l.say(err)
}

func (l lyingDisk) Edit(name string) (disk.File, error) {
	file, err := l.FS.Edit(name)
	return lyingFile{file, l, name}, l.say(err)
}

func (l lyingDisk) Append(name string) (disk.File, error) {
	file, err := l.FS.Append(name)
	return lyingFile{file, l, name}, l.say(err)
}

type lyingFile struct {
	disk.File
	disk lyingDisk
	name string
}

func (f lyingFile) Sync() error { return f.disk.sync(filepath.Dir(f.name), f.File.Sync) }

// TestFaultsAreFound: the fault test sees a disk that lies.
func TestFaultsAreFound(t *testing.T) {
	of := func(kind disktest.Kind, below string) func(disktest.Operation) bool {
		return func(o disktest.Operation) bool { return o.Kind == kind && strings.HasPrefix(o.Name, below) }
	}
	for _, test := range []struct {
		name string
		disk lyingDisk
		only func(disktest.Operation) bool
		says string
	}{
		{"bytes are not synced", lyingDisk{unsynced: temporaryDirectory}, nil, "has no bytes"},
		{"names are not synced", lyingDisk{unsynced: firstFolder}, of(disktest.Create, temporaryDirectory), "has no bytes"},
		{"names in quarantine are not synced", lyingDisk{unsynced: quarantineDirectory}, nil, "was quarantined and has no bytes there"},
		{"failed syncs of bytes are tried again", lyingDisk{retry: true}, of(disktest.Sync, temporaryDirectory), "has no bytes"},
		{"failed syncs of names are tried again", lyingDisk{retry: true}, of(disktest.SyncDirectory, firstFolder), "has no bytes"},
		{"failed removals are not reported", lyingDisk{unremoved: true}, of(disktest.Remove, temporaryDirectory), "file exists"},
		{"a full disk is not told from a broken one", lyingDisk{vague: true}, of(disktest.Create, temporaryDirectory), "a full disk is"},
		{"packs are not synced", lyingDisk{unsynced: packDirectory}, of(disktest.Create, packDirectory), "has no bytes"},
		{"failed syncs of packs are tried again", lyingDisk{retry: true}, of(disktest.Sync, packDirectory), "has no bytes"},
		{"failed syncs of the names of packs are tried again", lyingDisk{retry: true}, of(disktest.SyncDirectory, packDirectory), "has no bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			place := faultPlace(func(fsys disk.FS) disk.FS {
				lying := test.disk
				lying.FS = fsys
				return lying
			})
			place.Only = test.only
			if found := storetest.FirstFault(t, place); !strings.Contains(found, test.says) {
				t.Errorf("found: %q, want %q", found, test.says)
			}
		})
	}
}
