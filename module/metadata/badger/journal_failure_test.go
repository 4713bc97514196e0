package badger

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// journalDisk fails the journal and nothing else: an append of several lines, and from
// then on every other operation on a segment, until it heals.
type journalDisk struct {
	disk.OS
	// keep is how much of the append reaches the file. When it is all, the sync fails.
	keep    func(lines []byte) int
	failing atomic.Bool
	struck  atomic.Bool
}

func (d *journalDisk) Create(name string) (disk.File, error) {
	if strings.Contains(filepath.Base(name), ".jsonl") && d.struck.Load() {
		return nil, syscall.EIO
	}
	return d.OS.Create(name)
}

func (d *journalDisk) Edit(name string) (disk.File, error) {
	file, err := d.OS.Edit(name)
	if strings.Contains(filepath.Base(name), ".jsonl") {
		file = journalFile{file, d}
	}
	return file, err
}

type journalFile struct {
	disk.File
	disk *journalDisk
}

func (f journalFile) WriteAt(lines []byte, at int64) (int, error) {
	if f.disk.failing.Load() && bytes.Count(lines, []byte("\n")) > 1 {
		f.disk.struck.Store(true)
	}
	if !f.disk.struck.Load() {
		return f.File.WriteAt(lines, at)
	}
	n, err := f.File.WriteAt(lines[:f.disk.keep(lines)], at)
	if err == nil && n < len(lines) {
		err = syscall.EIO
	}
	return n, err
}

func (f journalFile) Sync() error {
	if f.disk.struck.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (f journalFile) Truncate(size int64) error {
	if f.disk.struck.Load() {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

// TestReadsGoOnWhileTheJournalFails: the database is good, and stays open. When the disk
// works again the journal says which changes of its last append were stored.
// Seen to fail with a store that closes its database as soon as the journal fails; with
// changes of the last append that the journal has and the database never gets.
func TestReadsGoOnWhileTheJournalFails(t *testing.T) {
	for _, test := range []struct {
		name string
		keep func(lines []byte) int
		want func(lost int) bool // how many of the last append's files may not be there
	}{
		{"nothing of an append is in the journal", func([]byte) int { return 0 }, func(lost int) bool { return lost > 1 }},
		{"one change and a half is", func(lines []byte) int { return bytes.IndexByte(lines, '\n') + 40 }, func(lost int) bool { return lost > 0 }},
		{"all of it is, and the sync fails", func(lines []byte) int { return len(lines) }, func(lost int) bool { return lost == 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			fsys := &journalDisk{keep: test.keep}
			var log messages
			root := t.TempDir()
			s, err := openTuned(filepath.Join(root, "metadata"), slog.New(&log), fsys, func(*home) {})
			if err != nil {
				t.Fatal(err)
			}
			const before = 3
			for i := range before {
				if err := publishNumbered(s, "o", i); err != nil {
					t.Fatal(err)
				}
			}
			database := s.database()
			fsys.failing.Store(true)
			outcomes := publishUntil(t, s, before, fsys.struck.Load)
			wantOpen := func() {
				t.Helper()
				for i := range before {
					if _, err := s.Lookup(t.Context(), numberedRef("o", i)); err != nil {
						t.Errorf("reading file %d while the journal fails: %v", i, err)
					}
				}
				if _, err := s.Lookup(t.Context(), numberedRef("o", 1_000_000)); !errors.Is(err, store.ErrPackageNotFound) {
					t.Errorf("reading a file that is not there while the journal fails: %v", err)
				}
				if condition := s.Condition(); !condition.Readable || s.database() != database {
					t.Errorf("the database is not the one that was open: %+v", condition)
				}
			}
			eventually(t, "it is tried in vain", func() bool { wantOpen(); return log.has("the store cannot be opened again yet") })
			if err := publishNumbered(s, "o", 1_000_000); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("publishing while the journal fails: %v", err)
			}
			fsys.failing.Store(false)
			fsys.struck.Store(false)
			eventually(t, "changes are taken again", func() bool { wantOpen(); return s.Condition().Fault == nil })
			there, lost := 0, 0
			for i, outcome := range outcomes {
				_, err := s.Lookup(t.Context(), numberedRef("o", before+i))
				unclear := errors.Is(outcome, journal.ErrUnclear)
				switch {
				case err == nil && (outcome == nil || unclear):
					there++
				case unclear:
					lost++
				case (err == nil) != (outcome == nil):
					t.Errorf("file %d was answered with %v: %v", before+i, outcome, err)
				}
			}
			if !test.want(lost) {
				t.Errorf("%d files of the last append are not there", lost)
			}
			if got, want := s.Condition().Journal.Sequence, uint64(before+there); got != want {
				t.Errorf("the journal has %d changes, want %d", got, want)
			}
			if err := publishNumbered(s, "o", 1_000_000); err != nil {
				t.Errorf("publishing afterwards: %v", err)
			}
			mustClose(t, s)
			again := mustOpen(t, root)
			defer mustClose(t, again)
			if err := again.Check(t.Context(), func(problem string) { t.Error(problem) }); err != nil {
				t.Error(err)
			}
			if got, want := again.Condition().Journal.Sequence, uint64(before+there+1); got != want {
				t.Errorf("after another start the journal has %d changes, want %d", got, want)
			}
		})
	}
}

// publishUntil publishes numbered files from many sides until something has happened, and
// returns what became of each.
func publishUntil(t *testing.T, s *Store, from int, happened func() bool) (outcomes []error) {
	t.Helper()
	var all sync.Mutex
	var sides sync.WaitGroup
	for range 16 {
		sides.Go(func() {
			for !happened() && !t.Failed() {
				all.Lock()
				number := len(outcomes)
				outcomes = append(outcomes, nil)
				all.Unlock()
				err := publishNumbered(s, "o", from+number)
				if err != nil && !happened() {
					t.Errorf("publishing: %v", err)
				}
				all.Lock()
				outcomes[number] = err
				all.Unlock()
			}
		})
	}
	sides.Wait()
	return outcomes
}
