package badger

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

// TestFaultsOfTheJournal lets each operation on the disk that the journal and the
// room for it make fail in each way, in segments so small that they rotate. Badger's
// own files are on the real disk.
// Seen to fail with no sync of the journal; no sync of a new segment's name; the plain
// segment removed before the compressed one has its name.
func TestFaultsOfTheJournal(t *testing.T) {
	storetest.Faults(t, storetest.FaultPlace{
		In: func(root string) func(disk.FS) (store.MetadataStore, store.BlobStore, error) {
			return func(fsys disk.FS) (store.MetadataStore, store.BlobStore, error) {
				metadata, err := openSmall(filepath.Join(root, "metadata"), besideBadger{fsys})
				if err != nil {
					return nil, nil, err
				}
				blobs, err := filesystem.Open(filepath.Join(root, "blobs"), 1, discard, fsys)
				if err != nil {
					return nil, nil, errors.Join(err, metadata.Close())
				}
				return metadata, blobs, nil
			}
		},
		Uploads:    filepath.Join("blobs", "tmp"),
		Quarantine: filepath.Join("blobs", "quarantine"),
		Journal:    true,
		Every:      31,
		Only: func(o disktest.Operation) bool {
			return o.Name == "metadata" || strings.HasPrefix(o.Name, "metadata/")
		},
	})
}

// besideBadger leaves Badger's own files, which only get their blocks through it, on
// the real disk: they change behind its back.
type besideBadger struct{ disk.FS }

func isBadgers(name string) bool {
	return strings.HasSuffix(name, ".mem") || strings.HasSuffix(name, ".vlog") || filepath.Base(name) == "DISCARD"
}

func (b besideBadger) Create(name string) (disk.File, error) {
	if isBadgers(name) {
		return disk.OS{}.Create(name)
	}
	return b.FS.Create(name)
}

func (b besideBadger) Append(name string) (disk.File, error) {
	if isBadgers(name) {
		return disk.OS{}.Append(name)
	}
	return b.FS.Append(name)
}

// openSmall opens a store whose journal rotates after a few changes and has a checkpoint
// after a few more, and which does nothing beside what it is asked to do.
func openSmall(path string, fsys disk.FS) (*Store, error) {
	return openTuned(path, discard, fsys, func(p *home) {
		p.segment, p.inline, p.idle, p.retry = 1500, true, time.Hour, time.Millisecond
		p.checkpointLeast = 5
	})
}

// open opens a store as a backend does, on a disk of the test.
func open(ctx context.Context, path string, reserve int64, log *slog.Logger, fsys disk.FS) (*Store, error) {
	h, err := take(path, reserve, log, fsys, nil)
	if err != nil {
		return nil, err
	}
	s, err := h.openStore(ctx)
	if err != nil {
		return nil, h.release(err)
	}
	return s, nil
}

func openTuned(path string, log *slog.Logger, fsys disk.FS, tune func(*home)) (*Store, error) {
	p, err := take(path, smallestReserve, log, fsys, nil)
	if err != nil {
		return nil, err
	}
	tune(p)
	s, err := p.openStore(context.Background())
	if err != nil {
		return nil, errors.Join(err, p.claim.Release())
	}
	return s, nil
}

// TestNothingIsBuiltUponAFailedSync: the lines of an append whose sync failed can be
// read, and no later sync makes them durable. What comes after them, once the store
// has opened itself again, must survive a power cut all the same.
// Seen to fail with the last segment built upon after a failed sync.
func TestNothingIsBuiltUponAFailedSync(t *testing.T) {
	// run publishes with a fault at an operation, and returns how many there were
	// before the first publish, and what was acknowledged.
	run := func(root string, operation int) (fsys *disktest.FS, opening int, acknowledged []int) {
		fsys = disktest.New(root, disktest.Fault{Operation: operation, Mode: disktest.Fail, Err: syscall.EIO})
		s, err := openSmall(filepath.Join(root, "metadata"), besideBadger{fsys})
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		opening = len(fsys.Operations())
		for i := range 5 {
			if err := publishNumbered(s, "o", i); err == nil {
				acknowledged = append(acknowledged, i)
				continue
			}
			eventually(t, "changes are taken again", func() bool { return s.Condition().Fault == nil })
		}
		return fsys, opening, acknowledged
	}
	quiet, opening, _ := run(t.TempDir(), 0)
	for i, operation := range quiet.Operations() {
		if i < opening || operation.Kind != disktest.Sync || !strings.HasPrefix(operation.Name, "metadata/journal/") {
			continue
		}
		root := t.TempDir()
		fsys, _, acknowledged := run(root, i+1)
		if err := fsys.PowerCut(); err != nil {
			t.Fatal(err)
		}
		s, err := openSmall(filepath.Join(root, "metadata"), disk.OS{})
		if err != nil {
			t.Errorf("after a fault at %q: %v", operation, err)
			continue
		}
		for _, number := range acknowledged {
			if _, err := s.Lookup(t.Context(), numberedRef("o", number)); err != nil {
				t.Errorf("after a fault at %q: file %d: %v", operation, number, err)
			}
		}
		mustClose(t, s)
	}
}
