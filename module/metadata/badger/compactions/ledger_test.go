package compactions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"google.golang.org/protobuf/proto"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
)

// listener passes what Badger logs to a ledger, and then to who waits for it.
type listener struct {
	*Ledger
	heard []func(l *Ledger, format string)
}

func (l listener) Hear(format string, args []any) {
	l.Ledger.Hear(format, args)
	for _, heard := range l.heard {
		heard(l.Ledger, format)
	}
}

func (l listener) Errorf(format string, args ...any)   { l.Hear(format, args) }
func (l listener) Warningf(format string, args ...any) { l.Hear(format, args) }
func (l listener) Infof(format string, args ...any)    { l.Hear(format, args) }
func (l listener) Debugf(format string, args ...any)   { l.Hear(format, args) }

// withTables returns a database with a table on level 0 and one on the last, which Flatten
// merges. Badger does not merge them by itself.
func withTables(t *testing.T) (*badger.DB, *Ledger) {
	t.Helper()
	path := t.TempDir()
	for i, merge := range []bool{true, false} {
		at := uint64(i + 1)
		db, _ := open(t, path, merge)
		txn := db.NewTransactionAt(at, true)
		if err := errors.Join(txn.Set([]byte("k"), fmt.Append(nil, at)), txn.CommitAt(at, nil), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, path, false)
}

// open opens a database, which may merge its tables when it is closed.
func open(t *testing.T, path string, merge bool, heard ...func(*Ledger, string)) (*badger.DB, *Ledger) {
	t.Helper()
	ledger := New(path)
	if err := ledger.Begin(0); err != nil {
		t.Fatal(err)
	}
	db, err := badger.OpenManaged(badger.DefaultOptions(path).WithLogger(listener{ledger, heard}).
		WithMemTableSize(1 << 20).WithValueLogFileSize(1 << 20).WithValueThreshold(1 << 10).WithCompactL0OnClose(merge))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, ledger
}

// TestACompactionIsAccountedFor when it is over, and is no failure.
func TestACompactionIsAccountedFor(t *testing.T) {
	db, ledger := withTables(t)
	_, before, err := ledger.Accounted()
	if err != nil {
		t.Fatal(err)
	}
	ledger.Accept(before)
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	all, after, err := ledger.Accounted()
	if err != nil || !all || after == before {
		t.Errorf("accounted for: %v, %v, from %v to %v; want all, and more tables", all, err, before, after)
	}
	if err := ledger.Failure(); err != nil {
		t.Errorf("failure %v, want none", err)
	}
}

// TestACompactionThatFailsIsHeard: a table that is merged cannot be removed, because something
// else has its name.
// Seen to fail with a ledger that does not hear Badger's message.
func TestACompactionThatFailsIsHeard(t *testing.T) {
	db, ledger := withTables(t)
	for _, known := range db.Tables() {
		name := table.NewFilename(known.ID, ledger.path)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(name, "something"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flatten(1); err == nil {
		t.Fatal("the compaction succeeded, want an error of it")
	}
	if ledger.Failure() == nil {
		t.Error("no failure, want that of the compaction")
	}
}

// TestOnlyABalancedDatabaseIsMarked: not one with a compaction that is unaccounted for.
// Seen to fail with a ledger that keeps that it is checked while a compaction is unaccounted for.
func TestOnlyABalancedDatabaseIsMarked(t *testing.T) {
	db, ledger := withTables(t)
	_, at, err := ledger.Accounted()
	if err != nil {
		t.Fatal(err)
	}
	ledger.Accept(at)
	ledger.Hear(tableMessage, []any{1, uint64(1)}) // a table that is never made
	ledger.Hear(doneMessage, []any{1, 0})
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(ledger.path, CheckedFile)
	for _, missing := range []bool{true, false} {
		if !missing {
			_, at, _ = ledger.Accounted()
			ledger.Accept(at)
		}
		if err := ledger.WriteChecked(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(name); (err == nil) == missing {
			t.Errorf("with a table missing: %v, asking for the file checked: %v", missing, err)
		}
	}
}

// blockNextTable puts a directory where the next table would be, and opens the database again.
func blockNextTable(t *testing.T, db *badger.DB, path string, heard ...func(*Ledger, string)) (*badger.DB, *Ledger) {
	t.Helper()
	var last uint64
	for _, known := range db.Tables() {
		last = max(last, known.ID)
	}
	if err := errors.Join(db.Close(), os.Mkdir(table.NewFilename(last+1, path), 0o700)); err != nil {
		t.Fatal(err)
	}
	return open(t, path, false, heard...)
}

// TestATableThatIsLostAfterAComparison which began once the table was announced is a loss.
// Seen to fail with announced tables that are accepted before they are made.
func TestATableThatIsLostAfterAComparison(t *testing.T) {
	db, ledger := withTables(t)
	compared := 0
	db, ledger = blockNextTable(t, db, ledger.path, func(l *Ledger, format string) {
		if format != tableMessage {
			return
		}
		_, at, err := l.Accounted()
		if err != nil {
			t.Error(err)
		}
		l.Accept(at)
		compared++
	})
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	all, _, err := ledger.Accounted()
	if err != nil || all || compared != 1 {
		t.Errorf("all accounted for: %v, %v, after %d comparisons; want a loss after one", all, err, compared)
	}
}

// TestATableThatIsLostDuringAComparison is a loss, although somebody asks before the comparison
// ends.
// Seen to fail with a comparison that accounts for compactions that ended after it began.
func TestATableThatIsLostDuringAComparison(t *testing.T) {
	db, ledger := withTables(t)
	db, ledger = blockNextTable(t, db, ledger.path)
	_, began, err := ledger.Accounted()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ledger.Accounted(); err != nil {
		t.Fatal(err)
	}
	ledger.Accept(began)
	if all, _, err := ledger.Accounted(); err != nil || all {
		t.Errorf("all accounted for: %v, %v; want a loss", all, err)
	}
}

// TestATableThatIsLostWhileAComparisonEnds: the manifest has the compaction, and its compactor has
// not said that it is over, so that a comparison still reads the tables that it merged.
// Seen to fail with a comparison that accounts for compactions in progress.
func TestATableThatIsLostWhileAComparisonEnds(t *testing.T) {
	ledger := New(t.TempDir())
	for range 2 {
		ledger.Hear(tableMessage, []any{1, uint64(1)})
	}
	writeManifest(t, ledger.path, pb.ManifestChange_CREATE, pb.ManifestChange_DELETE)
	_, at, err := ledger.Accounted()
	if err != nil {
		t.Fatal(err)
	}
	ledger.Accept(at)
	ledger.Hear(doneMessage, []any{1, 0})
	if all, _, err := ledger.Accounted(); err != nil || all {
		t.Errorf("all accounted for: got %v, %v; want a loss", all, err)
	}
}

// writeManifest writes a manifest with one set of changes.
func writeManifest(t *testing.T, path string, operations ...pb.ManifestChange_Operation) {
	t.Helper()
	var set pb.ManifestChangeSet
	for _, operation := range operations {
		set.Changes = append(set.Changes, &pb.ManifestChange{Op: operation})
	}
	body, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	written := make([]byte, 8, 16)
	written = binary.BigEndian.AppendUint32(written, uint32(len(body)))
	written = binary.BigEndian.AppendUint32(written, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(filepath.Join(path, badger.ManifestFilename), append(written, body...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzChecked: whatever the file checked has is refused, or read as it was written.
func FuzzChecked(f *testing.F) {
	f.Add(coding.Encode(checkedKey, &checkedRecord{size: 7}))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, written []byte) {
		var record, again checkedRecord
		if coding.Decode(checkedKey, written, &record) != nil {
			return
		}
		if err := coding.Decode(checkedKey, coding.Encode(checkedKey, &record), &again); err != nil || again != record {
			t.Fatalf("%+v becomes %+v: %v", record, again, err)
		}
	})
}
