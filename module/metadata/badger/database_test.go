package badger

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

var versionedKey = []byte("k")

func mustOpenDatabase(t *testing.T, path string) *database {
	t.Helper()
	options := databaseOptions(path, databaseLog{slog.New(slog.DiscardHandler), newLedger(path)}).
		WithMemTableSize(256 << 10).WithValueThreshold(1 << 10). // many tables soon
		WithSyncWrites(false)
	db, err := openBadger(options)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// write commits versions of one key, each with a record besides.
func write(t *testing.T, db *database, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		err := db.update(func(txn *badger.Txn) error {
			return firstError(
				func() error { return txn.Set(versionedKey, fmt.Append(nil, i)) },
				func() error { return txn.Set(fmt.Appendf(nil, "besides/%d", i), make([]byte, 900)) },
			)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func wantVersion(t *testing.T, txn *badger.Txn, want int) {
	t.Helper()
	item, err := txn.Get(versionedKey)
	if err != nil {
		t.Fatalf("version %d: %v", want, err)
	}
	if got, err := item.ValueCopy(nil); err != nil || string(got) != fmt.Sprint(want) {
		t.Errorf("read version %s, %v, want %d", got, err, want)
	}
}

func wantLatest(t *testing.T, db *database, want int) {
	t.Helper()
	txn, end := db.snapshot()
	defer end()
	wantVersion(t, txn, want)
}

// versions counts those of the key that are kept.
func versions(t *testing.T, db *database) (count int) {
	t.Helper()
	txn, end := db.snapshot()
	defer end()
	options := badger.DefaultIteratorOptions
	options.AllVersions, options.PrefetchValues = true, false
	found := txn.NewKeyIterator(versionedKey, options)
	defer found.Close()
	for found.Rewind(); found.Valid(); found.Next() {
		count++
	}
	return count
}

// TestASnapshotStaysWhatItWas: through commits, compactions, and the end of other
// snapshots. What nobody reads any more goes.
func TestASnapshotStaysWhatItWas(t *testing.T) {
	path := t.TempDir()
	db := mustOpenDatabase(t, path)
	const many = 2_000
	write(t, db, 0, 10)
	early, endEarly := db.snapshot()
	same, endSame := db.snapshot()
	write(t, db, 10, many)
	late, endLate := db.snapshot()
	for round := 1; round <= 2; round++ {
		write(t, db, round*many, (round+1)*many)
		if err := db.badger.Flatten(1); err != nil {
			t.Fatal(err)
		}
		wantVersion(t, early, 9)
		wantVersion(t, late, many-1)
		wantLatest(t, db, (round+1)*many-1)
		if round == 1 {
			wantVersion(t, same, 9)
			endSame()
		}
	}
	endEarly()
	endLate()
	if err := closeDatabase(db); err != nil {
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
	write(t, db, 3*many, 3*many+1)
	wantLatest(t, db, 3*many)
	if err := closeDatabase(db); err != nil {
		t.Fatal(err)
	}
}

// TestNobodySeesWhatIsNotCommitted: a transaction is seen by reads that begin after
// it, as a whole, and one that failed by none.
func TestNobodySeesWhatIsNotCommitted(t *testing.T) {
	db := mustOpenDatabase(t, t.TempDir())
	write(t, db, 0, 1)
	txn := db.begin()
	defer txn.Discard()
	if err := txn.Set(versionedKey, []byte("1")); err != nil {
		t.Fatal(err)
	}
	before, end := db.snapshot()
	wantVersion(t, before, 0)
	if err := db.commit(txn); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, before, 0)
	end()
	wantLatest(t, db, 1)
	if err := closeDatabase(db); err != nil {
		t.Fatal(err)
	}
	txn = db.begin()
	defer txn.Discard()
	if err := txn.Set(versionedKey, []byte("2")); err != nil {
		t.Fatal(err)
	}
	last := db.visible
	if err := db.commit(txn); err == nil {
		t.Error("a closed database takes a commit")
	}
	if db.visible != last || db.last == last {
		t.Errorf("reads see commit %d of %d after one that failed", db.visible, db.last)
	}
}
