package badger

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	compactedRounds = 6
	compactedFiles  = 20 * compactedRounds
)

// compactible returns a store with tables on two levels, which Flatten makes one of.
// With five of them Badger compacts by itself; then there is one more.
func compactible(t *testing.T, root string) *Store {
	t.Helper()
	for round := range compactedRounds {
		s := mustOpen(t, root)
		eventually(t, "tables are compacted", func() bool { return len(s.opened.db.badger.Tables()) < 5 })
		for i := range 20 {
			if err := publishNumbered(s, "o", round*20+i); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, s) // writes a table
	}
	s := mustOpen(t, root)
	s.patience = 20 * time.Millisecond
	return s
}

// block takes the names of the next tables, so that none can be created.
func block(t *testing.T, s *Store) {
	t.Helper()
	var last uint64
	for _, known := range s.opened.db.badger.Tables() {
		last = max(last, known.ID)
	}
	for id := last + 1; id < last+20; id++ {
		if err := os.WriteFile(table.NewFilename(id, s.path()), []byte("in the way"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// counted is what the ledger has counted, which each compaction changes.
func counted(t *testing.T, s *Store) compactions.Count {
	t.Helper()
	_, at, err := s.opened.ledger.Accounted()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// flatten compacts, and holds that something was.
func flatten(t *testing.T, s *Store) {
	t.Helper()
	before := counted(t, s)
	if err := s.opened.db.badger.Flatten(1); err != nil {
		t.Fatal(err)
	}
	if counted(t, s) == before {
		t.Fatal("nothing was compacted")
	}
}

// TestABlobThatMayBeOld: a blob that is found may be an older one than the store knew, when
// a compaction lost a table. Nobody hears of it before all records are compared.
// Seen to fail with blobs that are believed when they are found.
func TestABlobThatMayBeOld(t *testing.T) {
	s := compactible(t, t.TempDir())
	defer mustClose(t, s)
	if err := publishNumbered(s, "o", compactedFiles); err != nil {
		t.Fatal(err)
	}
	digest := publicationOf(store.Ref{}, compactedFiles).Digest
	if _, err := s.FindBlob(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	block(t, s)
	flatten(t, s)
	if blob, err := s.FindBlob(t.Context(), digest); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("blob %v, %v", blob, err)
	}
}

// TestACompactionThatLosesATable: from the moment on nobody hears that a file is not
// there, no file is published over another, no bytes are said to be nobody's, and
// the database is rebuilt.
// Seen to fail with tables that are made and not counted; a compaction after which
// nobody looks.
func TestACompactionThatLosesATable(t *testing.T) {
	never := func(t *testing.T, what string, err error, allowed ...error) {
		t.Helper()
		for _, fine := range append(allowed, store.ErrUnavailable) {
			if errors.Is(err, fine) {
				return
			}
		}
		t.Errorf("%s: %v", what, err)
	}
	for name, first := range map[string]func(t *testing.T, s *Store){
		"a file is looked up": func(t *testing.T, s *Store) {
			_, err := s.Lookup(t.Context(), numberedRef("o", 7))
			never(t, "looking up", err, nil)
		},
		"a file is published again": func(t *testing.T, s *Store) {
			never(t, "publishing", publishNumbered(s, "o", 7), store.ErrExists)
		},
		"a file is deleted": func(t *testing.T, s *Store) {
			never(t, "deleting", s.DeleteFile(t.Context(), numberedRef("o", compactedFiles), testAct), store.ErrPackageNotFound)
		},
		"bytes are swept": func(t *testing.T, s *Store) {
			unnamed, err := s.Unnamed(t.Context(), []store.Locator{store.NewLocator(1)})
			if err == nil {
				t.Errorf("unnamed: %v", unnamed)
			}
		},
		"a backup begins": func(t *testing.T, s *Store) {
			snapshot, err := s.Snapshot(t.Context())
			if err == nil {
				snapshot.Close()
				t.Error("a snapshot was taken")
			}
		},
		"the store is closed":     func(t *testing.T, s *Store) {},
		"the process is killed":   func(t *testing.T, s *Store) {},
		"it is checked meanwhile": func(t *testing.T, s *Store) { s.writeChecked() },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s := compactible(t, root)
			block(t, s)
			flatten(t, s)
			first(t, s)
			switch name {
			case "the store is closed":
				mustClose(t, s)
				s = mustOpen(t, root)
			case "the process is killed", "it is checked meanwhile":
				killed := t.TempDir()
				if err := copySparse(killed, root); err != nil {
					t.Fatal(err)
				}
				mustClose(t, s)
				s = mustOpen(t, killed)
			}
			defer func() { mustClose(t, s) }()
			eventually(t, "all is there again", func() bool {
				for i := range compactedFiles {
					_, err := s.Lookup(t.Context(), numberedRef("o", i))
					never(t, "looking up", err, nil)
					if err != nil {
						return false
					}
				}
				return true
			})
			eventually(t, "changes are taken again", func() bool { return s.Condition().Fault == nil })
			wantNumbered(t, s, compactedFiles, numbers(compactedFiles)...)
			if err := publishNumbered(s, "o", compactedFiles); err != nil {
				t.Errorf("publishing afterwards: %v", err)
			}
		})
	}
}

// TestACompactionThatCannotRemoveATable leaves Badger with tables in memory that its manifest
// does not have, which later compactions do not merge. So the store is opened again before
// anybody reads, and needs neither a comparison of records nor its journal for that.
// Seen to fail with a database that takes no notice of a compaction that failed.
func TestACompactionThatCannotRemoveATable(t *testing.T) {
	root := t.TempDir()
	var log messages
	mustClose(t, compactible(t, root))
	s := mustOpenLogged(t, root, &log)
	defer mustClose(t, s)
	inTheWay := failCompaction(t, s)
	if _, err := s.Lookup(t.Context(), numberedRef("o", 7)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("looking up: %v, want %v", err, store.ErrUnavailable)
	}
	if err := publishNumbered(s, "o", compactedFiles); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("publishing: %v, want %v", err, store.ErrUnavailable)
	}
	for _, name := range inTheWay {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "changes are taken again", func() bool { return publishNumbered(s, "o", compactedFiles) == nil })
	wantNumbered(t, s, compactedFiles+1, numbers(compactedFiles+1)...)
	if log.has(unaccounted) {
		t.Error("all records were compared")
	}
	if aside, err := filepath.Glob(filepath.Join(root, "metadata", "damaged-*")); err != nil || len(aside) > 0 {
		t.Errorf("put aside: %v, %v; want nothing", aside, err)
	}
}

// failCompaction has a compaction fail because the tables that it merged cannot be removed, and
// returns what is in their place.
func failCompaction(t *testing.T, s *Store) (inTheWay []string) {
	t.Helper()
	for _, known := range s.opened.db.badger.Tables() {
		name := table.NewFilename(known.ID, s.path())
		if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "in the way"), 0o700)); err != nil {
			t.Fatal(err)
		}
		inTheWay = append(inTheWay, name)
	}
	if err := s.opened.db.badger.Flatten(1); err == nil {
		t.Fatal("the compaction succeeded, want an error of it")
	}
	return inTheWay
}

// TestACompactionThatFailsIsOver although the disk takes no writes: its database is closed, so
// that Badger does not merge the tables again.
// Seen to fail with a failed database that is closed once the disk takes writes.
func TestACompactionThatFailsIsOver(t *testing.T) {
	s := compactible(t, t.TempDir())
	defer mustClose(t, s)
	probed := filepath.Join(s.path(), probeFile+".new", "in the way")
	if err := os.MkdirAll(probed, 0o700); err != nil {
		t.Fatal(err)
	}
	inTheWay := failCompaction(t, s)
	if _, err := s.Lookup(t.Context(), numberedRef("o", 7)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("looking up: %v, want %v", err, store.ErrUnavailable)
	}
	eventually(t, "the database is closed", func() bool { return s.database() == nil })
	for _, name := range append(inTheWay, probed) {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "changes are taken again", func() bool { return publishNumbered(s, "o", compactedFiles) == nil })
	wantNumbered(t, s, compactedFiles+1, numbers(compactedFiles+1)...)
}

// TestWhatBadgerRepeats is told once: it tries for ever what does not succeed.
// Seen to fail with a log that passes on all that Badger says.
func TestWhatBadgerRepeats(t *testing.T) {
	var log messages
	said := databaseLog{slog.New(&log), compactions.New(t.TempDir()), new(atomic.Int64), new(told)}
	for i := range 100 {
		said.Errorf("flushing %d", i)
		said.Warningf("compacting %d", i)
	}
	if count := log.count("badger"); count != 2 {
		t.Errorf("%d messages, want 2", count)
	}
}

// TestASnapshotThatLosesATable: a blob that is not found in it may have been there.
// Seen to fail with a snapshot that trusts a compaction.
func TestASnapshotThatLosesATable(t *testing.T) {
	s := compactible(t, t.TempDir())
	defer mustClose(t, s)
	snapshot, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	block(t, s)
	flatten(t, s)
	if _, err := snapshot.FindBlob(store.Digest{7}); err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("finding blob: %v", err)
	}
}

// TestACompactionIsNoFault: one that works costs no comparison of records, and
// nothing is put aside.
// Seen to fail with tables that are planned and not counted.
func TestACompactionIsNoFault(t *testing.T) {
	root := t.TempDir()
	mustClose(t, compactible(t, root))
	var log messages
	s := mustOpenLogged(t, root, &log)
	defer mustClose(t, s)
	flatten(t, s)
	if _, err := s.Lookup(t.Context(), numberedRef("o", compactedFiles)); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("looking up what is not there: %v", err)
	}
	if err := publishNumbered(s, "o", compactedFiles); err != nil {
		t.Errorf("publishing: %v", err)
	}
	wantNumbered(t, s, compactedFiles+1, numbers(compactedFiles+1)...)
	if log.has(comparing) || log.has(unaccounted) {
		t.Error("all records were compared")
	}
	if aside, err := filepath.Glob(filepath.Join(root, "metadata", "damaged-*")); err != nil || len(aside) > 0 {
		t.Errorf("put aside: %v, %v", aside, err)
	}
}

// TestCompactionsUnderLoadAreNoFault: every table is accounted for while files are
// published.
func TestCompactionsUnderLoadAreNoFault(t *testing.T) {
	var log messages
	s := mustOpenLogged(t, t.TempDir(), &log)
	defer mustClose(t, s)
	files := 200
	if os.Getenv(long) != "" {
		files = 200_000
	}
	before := counted(t, s)
	var load sync.WaitGroup
	load.Go(func() { fill(t, s, files) })
	for i := 0; counted(t, s) == before; i++ {
		if i == 1000 {
			t.Fatal("800 MiB, and no table of a compaction is counted")
		}
		write(t, s, writeMuch)
	}
	load.Wait()
	if err := publishNumbered(s, "o", files); err != nil {
		t.Error(err)
	}
	if log.has(unaccounted) {
		t.Error("all records were compared")
	}
}

// writeMuch fills memtables with what is no record of ours.
func writeMuch(b *batch) {
	for i := range 100 {
		b.write(fmt.Appendf(nil, "much/%d", i), make([]byte, 8<<10))
	}
}

// write has the database take what no operation writes, and waits until it has.
func write(t *testing.T, s *Store, records func(b *batch)) {
	t.Helper()
	writeAhead(s, records)
	if err := s.awaitPersisted(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func writeAhead(s *Store, records func(b *batch)) {
	s.committer.Lock()
	defer s.committer.Unlock()
	b := newBatch(s.opened)
	defer b.end()
	records(b)
	s.opened.db.commit(b.layer)
	signal(s.ahead)
}

// TestTablesOfEarlierBuilds, which compressed them, are read.
func TestTablesOfEarlierBuilds(t *testing.T) {
	root := t.TempDir()
	mustClose(t, compactible(t, root))
	path := filepath.Join(root, "metadata")
	compressed := databaseOptions(path, databaseLog{slog.New(slog.DiscardHandler), compactions.New(path), new(atomic.Int64), new(told)}).
		WithCompression(options.Snappy).WithBlockCacheSize(1 << 20)
	if err := checkFiles(path, compressed, discard); err != nil {
		t.Fatal(err)
	}
	db, err := openBadger(compressed, compactions.New(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.badger.Flatten(1); err != nil {
		t.Fatal(err)
	}
	for _, made := range db.badger.Tables() {
		if made.OnDiskSize >= made.UncompressedSize {
			t.Fatalf("a table of %d bytes for %d", made.OnDiskSize, made.UncompressedSize)
		}
	}
	if err := closeBadger(db); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, compactedFiles, numbers(compactedFiles)...)
}
