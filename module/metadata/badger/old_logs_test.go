package badger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestALogThatIsInATableAlready: a memtable's log that could not be removed brings nothing
// back that was deleted since. Badger goes on without a word, and so does a store that
// was closed well and is known to be whole.
// Seen to fail with logs that are left to Badger: the deleted file is there again.
func TestALogThatIsInATableAlready(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root)
	for i := range 2 {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.awaitPersisted(t.Context()); err != nil {
		t.Fatal(err)
	}
	logs := fullLogs(t, root)
	if len(logs) != 1 {
		t.Fatalf("logs %v, want one", logs)
	}
	left, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteFile(t.Context(), numberedRef("o", 0), store.Act{}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	for i := range 10 { // a table each, until compactions drop deletions
		s = mustOpen(t, root)
		if err := publishNumbered(s, "o", 2+i); err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
	}
	s = mustOpen(t, root)
	if err := s.opened.db.badger.Flatten(1); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if err := os.WriteFile(logs[0], left, 0o600); err != nil {
		t.Fatal(err)
	}
	var log messages
	s = mustOpenLogged(t, root, &log)
	defer mustClose(t, s)
	if log.has(comparing) {
		t.Error("all records were compared")
	}
	if file, err := s.Lookup(t.Context(), numberedRef("o", 0)); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("the deleted file: %v, %v", file, err)
	}
	if _, err := s.Lookup(t.Context(), numberedRef("o", 1)); err != nil {
		t.Errorf("the other file: %v", err)
	}
}

// TestWhichLogsAreOld: those whose first transaction tables have.
func TestWhichLogsAreOld(t *testing.T) {
	killed := killMarked(t)
	dir := filepath.Join(killed, "metadata")
	name := fullLogs(t, killed)[0]
	first, found, err := firstTransaction(name)
	if err != nil || !found || first == 0 {
		t.Fatalf("the first transaction is %d, %v, %v", first, found, err)
	}
	for newest, want := range map[uint64]error{0: nil, first - 1: nil, first: fs.ErrNotExist} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := removeOldLogs(dir, newest, discard); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(name); !errors.Is(err, want) {
			t.Errorf("when tables have transaction %d, of the log that begins with %d: %v", newest, first, err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, text := range map[string][]byte{"nothing": nil, "a header": make([]byte, 20), "zeros": make([]byte, 4096), "half an entry": append(make([]byte, 20), 0, 0, 200)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if number, found, err := firstTransaction(name); err != nil || found {
			t.Errorf("of a log with %s the first transaction is %d, %v, %v", what, number, found, err)
		}
	}
}
