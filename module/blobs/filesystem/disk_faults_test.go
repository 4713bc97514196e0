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
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// faultPlace has metadata in memory, which no fault reaches. The mark of the
// directory's format is there from the start: it does not go through the FS. The
// store sees the FS as through lets it.
func faultPlace(limits tuning, through func(disk.FS) disk.FS) storetest.FaultPlace {
	return storetest.FaultPlace{
		In: func(root string) func(disk.FS) (store.MetadataStore, store.BlobStore, error) {
			place := memory.NewMetadata()
			return func(fsys disk.FS) (store.MetadataStore, store.BlobStore, error) {
				if err := os.WriteFile(filepath.Join(root, "FORMAT"), fmt.Appendln(nil, layout, layoutVersion), disk.FilePermissions); err != nil {
					return nil, nil, err
				}
				blobs, err := openWith(root, 1, through(fsys), limits)
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

// twoAhead has small blobs written ahead, and a segment full when it has two of them.
var twoAhead = tuning{small: smallBlob, segment: 100, age: time.Hour, inline: true}

// TestFaults was seen to fail with no sync of a blob's file, of its directory, or of the store's root;
// a rename before the sync; uploads of a crash that are not cleared; an aborted upload
// that stays; quarantine without the sync of the old directory, or with its bytes still
// in the log; a log that is not written out at opening.
// Seen to fail with no sync of a blob's file, of its directory, or of the store's root;
// a rename before the sync; uploads of a crash that are not cleared; an aborted upload
// that stays; quarantine without the sync of the old directory, or with its bytes still
// in the log; a log that is not written out at opening.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits tuning
		disk   func(disk.FS) disk.FS
		every  int
	}{
		{"nothing is written ahead", allAlike, func(fsys disk.FS) disk.FS { return fsys }, 4},
		{"small blobs are written ahead", twoAhead, func(fsys disk.FS) disk.FS { return fsys }, 2},
		{"and synced one by one", twoAhead, func(fsys disk.FS) disk.FS { return oneByOne{fsys} }, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			place := faultPlace(test.limits, test.disk)
			place.Every = test.every
			storetest.Faults(t, place)
		})
	}
}

// oneByOne is a disk whose files can only be synced one by one.
type oneByOne struct{ disk.FS }

func (oneByOne) OpenVolume(string) (disk.Volume, error) { return nil, errors.ErrUnsupported }

// lyingDisk leaves out or repeats what it is told to do. It is what the store would
// be if it did.
type lyingDisk struct {
	disk.FS
	unsynced  string // a directory of which neither names nor files are synced
	retry     bool   // failed syncs
	unremoved bool   // failed removals are silent
	vague     bool   // about a full disk
	single    bool   // files can only be synced one by one
	idle      bool   // the whole is not synced
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

func (l lyingDisk) OpenVolume(name string) (disk.Volume, error) {
	if l.single {
		return nil, errors.ErrUnsupported
	}
	volume, err := l.FS.OpenVolume(name)
	return lyingVolume{volume, l}, err
}

type lyingVolume struct {
	disk.Volume
	disk lyingDisk
}

func (v lyingVolume) Sync() error {
	if v.disk.idle {
		return nil
	}
	return v.disk.sync("", v.Volume.Sync)
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
// Seen to fail with no sync of the log, or none of its files before it is removed; a log
// that is settled again after a failed sync.
func TestFaultsAreFound(t *testing.T) {
	of := func(kind disktest.Kind, below string) func(disktest.Operation) bool {
		return func(o disktest.Operation) bool { return o.Kind == kind && strings.HasPrefix(o.Name, below) }
	}
	for _, test := range []struct {
		name   string
		limits tuning
		disk   lyingDisk
		only   func(disktest.Operation) bool
		says   string
	}{
		{"bytes are not synced", allAlike, lyingDisk{unsynced: temporaryDirectory}, nil, "has no bytes"},
		{"names are not synced", allAlike, lyingDisk{unsynced: "00000000"}, of(disktest.Create, temporaryDirectory), "has no bytes"},
		{"names in quarantine are not synced", allAlike, lyingDisk{unsynced: quarantineDirectory}, nil, "was quarantined and has no bytes there"},
		{"failed syncs of bytes are tried again", allAlike, lyingDisk{retry: true}, of(disktest.Sync, temporaryDirectory), "has no bytes"},
		{"failed syncs of names are tried again", allAlike, lyingDisk{retry: true}, of(disktest.SyncDirectory, "00000000"), "has no bytes"},
		{"failed removals are not reported", allAlike, lyingDisk{unremoved: true}, of(disktest.Remove, "00000000"), "no file refers to it"},
		{"a full disk is not told from a broken one", allAlike, lyingDisk{vague: true}, of(disktest.Create, temporaryDirectory), "a full disk is"},
		{"the log is not synced", twoAhead, lyingDisk{unsynced: walDirectory}, nil, "has no bytes"},
		{"the log is removed before its files are durable", twoAhead, lyingDisk{idle: true}, nil, "has no bytes"},
		{"a log that could not be settled is settled again", twoAhead, lyingDisk{retry: true}, of(disktest.SyncVolume, ""), "has no bytes"},
		{"one by one, files and names are not synced", twoAhead, lyingDisk{single: true, unsynced: "00000000"}, nil, "has no bytes"},
		{"one by one, failed syncs are tried again", twoAhead, lyingDisk{single: true, retry: true}, of(disktest.Sync, "00000000"), "has no bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			place := faultPlace(test.limits, func(fsys disk.FS) disk.FS {
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
