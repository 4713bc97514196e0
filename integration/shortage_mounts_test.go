//go:build mounts

package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// newMountWithInodes mounts a file system in memory that has so many inodes.
func newMountWithInodes(t testing.TB, size int64, inodes int) *mount {
	t.Helper()
	m := newMemoryMount(t, size)
	m.run("mount", "-o", fmt.Sprintf("remount,nr_inodes=%d", inodes), m.path)
	return m
}

// freeInodes is how many files a program may still make.
func (m *mount) freeInodes() uint64 {
	m.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs(m.path, &stat); err != nil {
		m.Fatal(err)
	}
	return stat.Ffree
}

// takeInodes makes empty files until there is no inode left, and returns what removes
// them again.
func (m *mount) takeInodes() (remove func()) {
	m.Helper()
	directory := filepath.Join(m.path, "taken")
	if err := os.MkdirAll(directory, 0o700); err != nil && !errors.Is(err, unix.ENOSPC) {
		m.Fatal(err)
	}
	for i := 0; ; i++ {
		file, err := os.Create(filepath.Join(directory, fmt.Sprint(i)))
		if errors.Is(err, unix.ENOSPC) {
			break
		}
		if err != nil {
			m.Fatal(err)
		}
		_ = file.Close()
	}
	return func() {
		if err := os.RemoveAll(directory); err != nil {
			m.Error(err)
		}
	}
}

// TestShortageOfInodes: a file system without inodes is as full as one without bytes.
func TestShortageOfInodes(t *testing.T) {
	t.Parallel()
	binary := mutant(t, smallTables...)
	t.Run("of the metadata, which another program took", func(t *testing.T) {
		t.Parallel()
		disk := newMountWithInodes(t, 256<<20, 2000)
		f := newFlood(t, newMemoryMount(t, 512<<20), 8)
		f.binary = binary
		f.faults = []string{""}
		f.config = f.site("metadata badger {", "\tdir "+filepath.Join(disk.path, "metadata"), "\treserve 64MiB", "}", "blobs filesystem {", "\treserve 64MiB", "}") + f.otherSite()
		f.start(f.config)
		work := func() error {
			return f.clients.try(func(h *history) error { return h.operate(f.server, 150) })
		}
		if err := work(); err != nil {
			t.Fatal(err)
		}
		stop := f.probe()
		remove := disk.takeInodes()
		if err := work(); err != nil {
			t.Errorf("without an inode: %v", err)
		}
		f.eventuallyAnswers(http.StatusInsufficientStorage, "an upload", f.publishOne)
		f.eventually("health tells", func() bool {
			status, is := f.health()
			return status == http.StatusServiceUnavailable && !is.Ready && len(is.Problems) > 0
		})
		f.wantAllThere()
		remove()
		f.wantRecovery("the inodes are free")
		f.eventuallyAllThere()
		stop()
		f.kill()
		f.start(f.config)
		f.eventuallyAllThere()
		f.wantNothingAside(filepath.Join(disk.path, "metadata"))
	})
	t.Run("of all, which uploads took", func(t *testing.T) {
		t.Parallel()
		disk := newMountWithInodes(t, 512<<20, 2000)
		f := newFlood(t, disk, 8)
		f.binary = binary
		f.faults = []string{""}
		f.start(f.config)
		stop := f.probe()
		f.clients.each(f, func(h *history) error {
			for file := range 5_000 {
				h.size = func(*rand.Rand) int { return 65_600 } // a file of its own
				status, err := h.publish(f.server, h.path(f.round, file))
				if err != nil || status != http.StatusCreated {
					return err
				}
			}
			return errors.New("inodes without end")
		})
		f.eventuallyAnswers(http.StatusInsufficientStorage, "an upload", f.publishOne)
		if disk.freeInodes() == 0 {
			t.Error("uploads took the last inode")
		}
		f.eventually("health tells", func() bool {
			status, is := f.health()
			return status == http.StatusServiceUnavailable && !is.Ready && len(is.Problems) > 0
		})
		f.clients.each(f, f.deleteThird)
		f.wantRecovery("deletes")
		f.eventuallyAllThere()
		stop()
		f.kill()
		f.start(f.config)
		f.eventuallyAllThere()
		f.wantNothingAside(filepath.Join(f.root, "metadata"))
	})
}

// wantNothingAside fails for a database that was taken for damaged.
func (s *server) wantNothingAside(metadata string) {
	s.Helper()
	if aside, err := filepath.Glob(filepath.Join(metadata, "damaged-*")); err != nil || len(aside) > 0 {
		s.Errorf("put aside: %v %v", aside, err)
	}
}

// smallTables has Badger make memtables, tables and compactions all the time.
var smallTables = []edit{
	{"module/metadata/badger/open.go", "memTableSize     = 8 << 20", "memTableSize     = 128 << 10"},
	{"module/metadata/badger/open.go", "WithMetricsEnabled(false)", "WithValueThreshold(8 << 10).WithMetricsEnabled(false)"},
	{"module/metadata/badger/open.go", "WithBaseTableSize(4 << 20)", "WithBaseTableSize(32 << 10).WithBaseLevelSize(128 << 10)"},
	{"module/metadata/badger/database.go", "transactionSize = 512 << 10", "transactionSize = 8 << 10"},
	{"module/metadata/badger/commit.go", "batchWeight = 1024", "batchWeight = 64"}, // what one transaction takes
	{"module/store/catalog.go", "MaxDownloads = 500", "MaxDownloads = 30"},         // which one operation counts
}
