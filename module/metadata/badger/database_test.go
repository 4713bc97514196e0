package badger

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var versionedKey = []byte("k")

func mustOpenDatabase(t *testing.T, path string) *database {
	t.Helper()
	options := databaseOptions(path, databaseLog{slog.New(slog.DiscardHandler), compactions.New(path), new(atomic.Int64), new(told)}).
		WithMemTableSize(256 << 10).WithValueThreshold(1 << 10). // many tables soon
		WithSyncWrites(false)
	db, err := openBadger(options, compactions.New(path))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// writeVersions has Badger take versions of one key, each with a record besides.
func writeVersions(t *testing.T, db *database, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		l := newLayer()
		l.put(versionedKey, &idRecord{uint64(i)})
		l.write(fmt.Appendf(nil, "besides/%d", i), make([]byte, 900))
		db.commit(l)
		if err := db.persistAll(); err != nil {
			t.Fatal(err)
		}
	}
}

func wantVersion(t *testing.T, r reader, want uint64) {
	t.Helper()
	var got idRecord
	if found, err := r.get(versionedKey, &got); err != nil || !found || got.next != want {
		t.Errorf("read version %d, %v, %v, want %d", got.next, found, err, want)
	}
}

func wantLatest(t *testing.T, db *database, want uint64) {
	t.Helper()
	r, end := db.snapshot()
	defer end()
	wantVersion(t, r, want)
}

// versions counts those of the key that are kept.
func versions(t *testing.T, db *database) (count int) {
	t.Helper()
	r, end := db.snapshot()
	defer end()
	options := badger.DefaultIteratorOptions
	options.AllVersions, options.PrefetchValues = true, false
	found := r.txn.NewKeyIterator(versionedKey, options)
	defer found.Close()
	for found.Rewind(); found.Valid(); found.Next() {
		count++
	}
	return count
}

// TestASnapshotStaysWhatItWas: through commits, compactions, and the end of other
// snapshots. What nobody reads any more goes.
// Seen to fail with compactions that drop what a snapshot reads, or nothing at all.
func TestASnapshotStaysWhatItWas(t *testing.T) {
	path := t.TempDir()
	db := mustOpenDatabase(t, path)
	const many = 2_000
	writeVersions(t, db, 0, 10)
	early, endEarly := db.snapshot()
	same, endSame := db.snapshot()
	writeVersions(t, db, 10, many)
	late, endLate := db.snapshot()
	for round := 1; round <= 2; round++ {
		writeVersions(t, db, round*many, (round+1)*many)
		if err := db.badger.Flatten(1); err != nil {
			t.Fatal(err)
		}
		wantVersion(t, early, 9)
		wantVersion(t, late, many-1)
		wantLatest(t, db, uint64(round+1)*many-1)
		if round == 1 {
			wantVersion(t, same, 9)
			endSame()
		}
	}
	endEarly()
	endLate()
	if err := closeBadger(db); err != nil {
		t.Fatal(err)
	}
	db = mustOpenDatabase(t, path)
	if err := db.badger.Flatten(1); err != nil {
		t.Fatal(err)
	}
	wantLatest(t, db, 3*many-1)
	if count := versions(t, db); count > many/10 {
		t.Errorf("%d versions are kept that nobody can read", count)
	}
	writeVersions(t, db, 3*many, 3*many+1)
	wantLatest(t, db, 3*many)
	if err := closeBadger(db); err != nil {
		t.Fatal(err)
	}
}

// TestReadsSeeWhatIsCommitted: a layer is seen by reads that begin after it, as a
// whole, before Badger has it, and in no other way once it has; and one that Badger
// refuses still is.
// Seen to fail with reads that see a commit before it is over, or not until the database
// has it.
func TestReadsSeeWhatIsCommitted(t *testing.T) {
	db := mustOpenDatabase(t, t.TempDir())
	writeVersions(t, db, 0, 1)
	before, end := db.snapshot()
	commit := func(version uint64) {
		l := newLayer()
		l.put(versionedKey, &idRecord{version})
		db.commit(l)
	}
	commit(1)
	between, endBetween := db.snapshot()
	commit(2)
	wantAll := func() {
		t.Helper()
		wantVersion(t, before, 0)
		wantVersion(t, between, 1)
		wantLatest(t, db, 2)
	}
	wantAll()
	if layers, err := db.persist(); err != nil || len(layers) != 2 || len(db.ahead) != 0 {
		t.Fatalf("Badger took %d, %v", len(layers), err)
	}
	wantAll()
	end()
	endBetween()
	if err := closeBadger(db); err != nil {
		t.Fatal(err)
	}
	commit(3)
	stored := db.stored
	if _, err := db.persist(); err == nil {
		t.Error("a closed database takes a layer")
	}
	if db.stored != stored || db.last == stored || len(db.ahead) != 1 {
		t.Errorf("transaction %d of %d is stored, and %d layers are ahead after one that failed", db.stored, db.last, len(db.ahead))
	}
}

// TestNobodyWaitsForACompactionThatFailed: while there are too many tables on level 0, the database
// takes nothing. Badger wakes nobody when the compaction fails that is waited for, not even its Close.
// Seen to fail with Badger's own limit of tables on level 0.
func TestNobodyWaitsForACompactionThatFailed(t *testing.T) {
	path := t.TempDir()
	ledger := compactions.New(path)
	options := databaseOptions(path, databaseLog{slog.New(slog.DiscardHandler), ledger, new(atomic.Int64), new(told)}).
		WithMemTableSize(256 << 10).WithValueThreshold(1 << 10).WithSyncWrites(false).WithNumCompactors(0)
	db, err := openBadger(options, ledger)
	if err != nil {
		t.Fatal(err)
	}
	persisted := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil && i < 20_000; i++ { // more than there may be on level 0
			l := newLayer()
			l.write(fmt.Appendf(nil, "much/%d", i), make([]byte, 900))
			db.commit(l)
			err = db.persistAll()
		}
		persisted <- err
	}()
	eventually(t, "too many tables are on level 0", func() bool { return db.badger.Levels()[0].NumTables >= mostUnmerged })
	for _, known := range db.badger.Tables() {
		name := table.NewFilename(known.ID, path)
		if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "in the way"), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.badger.Flatten(1); err == nil {
		t.Fatal("the compaction succeeded, want an error of it")
	}
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(<-persisted, closeBadger(db)) }()
	select {
	case err := <-closed:
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("persisting and closing: got %v, want %v", err, store.ErrUnavailable)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the database neither gives up nor closes")
	}
}
