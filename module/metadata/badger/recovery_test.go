package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"google.golang.org/protobuf/proto"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// publishedStore is a store with numbered files.
func publishedStore(t testing.TB, root string, files int) *Store {
	t.Helper()
	s := mustOpen(t, root)
	for i := range files {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// wantNumbered wants just the numbered files that are listed.
func wantNumbered(t testing.TB, s *Store, among int, want ...int) {
	t.Helper()
	for i := range among {
		_, err := s.Lookup(context.Background(), numberedRef("o", i))
		if slices.Contains(want, i) && err != nil {
			t.Errorf("file %d: %v", i, err)
		}
		if !slices.Contains(want, i) && !errors.Is(err, store.ErrPackageNotFound) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if err := s.Check(context.Background(), func(problem string) { t.Error(problem) }); err != nil {
		t.Error(err)
	}
}

func activeSegment(t testing.TB, root string) (name string, lines [][]byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "metadata", "journal", "*.jsonl"))
	if err != nil || len(names) == 0 {
		t.Fatalf("segments: %v, %v", names, err)
	}
	name = names[len(names)-1]
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, slices.Collect(bytes.Lines(text))
}

func rewrite(t testing.TB, name string, lines [][]byte) {
	t.Helper()
	if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

func cutLastLine(t testing.TB, root string) {
	t.Helper()
	name, lines := activeSegment(t, root)
	rewrite(t, name, lines[:len(lines)-1])
}

// changeLine flips a bit in the middle of the line of a change.
func changeLine(t testing.TB, root string, number int) {
	t.Helper()
	name, lines := activeSegment(t, root)
	lines[number][len(lines[number])/3] ^= 1
	rewrite(t, name, lines)
}

func swapJournal(t testing.TB, root, other string) {
	t.Helper()
	ours := filepath.Join(root, "metadata", "journal")
	if err := os.RemoveAll(ours); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, "metadata", "journal"), ours); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedDatabasesAreMadeAnew: whatever happened to Badger's files, the journal
// has every change, and what was there is put aside.
// Seen to fail with tables that nobody looks at before Badger opens them, which panics;
// a cut manifest taken as it is; tables whose ranges are not compared.
func TestDamagedDatabasesAreMadeAnew(t *testing.T) {
	remove := func(pattern string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(names) == 0 {
				t.Fatalf("%s: %v, %v", pattern, names, err)
			}
			for _, name := range names {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	change := func(pattern string, damage func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(names) == 0 {
				t.Fatalf("%s: %v, %v", pattern, names, err)
			}
			text, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(names[0], damage(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		aside  bool
	}{
		{"all of its files are gone", func(t *testing.T, dir string) {
			for _, pattern := range []string{"*.sst", "*.vlog", "MANIFEST", "KEYREGISTRY", "DISCARD"} {
				remove(pattern)(t, dir)
			}
		}, false},
		{"no manifest", remove("MANIFEST"), true},
		{"a manifest of nonsense", change("MANIFEST", func([]byte) []byte { return []byte("nonsense") }), true},
		{"a manifest that is cut", change("MANIFEST", func(text []byte) []byte { return text[:len(text)-3] }), true},
		{"a table is gone", remove("*.sst"), true},
		{"a table without a byte", change("*.sst", func([]byte) []byte { return nil }), true},
		{"an empty table", change("*.sst", func([]byte) []byte { return nil }), true},
		{"a table without its end", change("*.sst", func(text []byte) []byte { return text[:len(text)-40] }), true},
		{"two tables that overlap, on a level where none may", overlap, true},
		{"a flipped bit in a table", change("*.sst", func(text []byte) []byte { text[20] ^= 4; return text }), true},
		{"a flipped bit in the end of a table", change("*.sst", func(text []byte) []byte { text[len(text)-6] ^= 64; return text }), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			s := publishedStore(t, root, 20)
			if err := s.DeleteFile(t.Context(), numberedRef("o", 7), testAct); err != nil {
				t.Fatal(err)
			}
			id := s.ID()
			mustClose(t, s)
			test.damage(t, filepath.Join(root, "metadata"))
			again := mustOpen(t, root)
			defer mustClose(t, again)
			wantNumbered(t, again, 20, slices.DeleteFunc(numbers(20), func(i int) bool { return i == 7 })...)
			if again.ID() != id {
				t.Errorf("the store's ID is %s, was %s", again.ID(), id)
			}
			aside, err := filepath.Glob(filepath.Join(root, "metadata", "damaged-*"))
			if err != nil || (len(aside) == 1) != test.aside {
				t.Errorf("put aside: %v, %v", aside, err)
			}
			if err := publishNumbered(again, "o", 7); err != nil {
				t.Errorf("publishing afterwards: %v", err)
			}
		})
	}
}

// overlap has a table of level 0 and a copy of it on one level, as compactions left it that failed.
func overlap(t *testing.T, dir string) {
	t.Helper()
	const copied, level = 99, 5
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) != 1 {
		t.Fatalf("tables: %v, %v; want one", names, err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table.NewFilename(copied, dir), text, 0o600); err != nil {
		t.Fatal(err)
	}
	id, ok := table.ParseFileID(names[0])
	if !ok {
		t.Fatalf("no table: %s", names[0])
	}
	body, err := proto.Marshal(&pb.ManifestChangeSet{Changes: []*pb.ManifestChange{
		{Id: id, Op: pb.ManifestChange_DELETE},
		{Id: id, Op: pb.ManifestChange_CREATE, Level: level},
		{Id: copied, Op: pb.ManifestChange_CREATE, Level: level},
	}})
	if err != nil {
		t.Fatal(err)
	}
	entry := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	entry = binary.BigEndian.AppendUint32(entry, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	manifest, err := os.OpenFile(filepath.Join(dir, badger.ManifestFilename), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = manifest.Write(append(entry, body...))
	if err := errors.Join(err, manifest.Close()); err != nil {
		t.Fatal(err)
	}
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// TestRecordsLostFromTheMiddleAreMissed: a database that was not closed and lost
// records which later ones do not depend on is rebuilt. Here a manifest has lost
// its end, and Badger deletes the table that is not in it any more.
// Seen to fail with sums that are not compared at opening.
func TestRecordsLostFromTheMiddleAreMissed(t *testing.T) {
	root := t.TempDir()
	mustClose(t, publishedStore(t, root, 20))
	info, err := os.Stat(filepath.Join(root, "metadata", badger.ManifestFilename))
	if err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, root)
	for i := 20; i < 40; i++ {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, s) // into a table of its own
	s = mustOpen(t, root)
	if err := publishNumbered(s, "o", 40); err != nil {
		t.Fatal(err)
	}
	crashed := crash(t, s, root)
	if err := os.Truncate(filepath.Join(crashed, "metadata", badger.ManifestFilename), info.Size()); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, crashed)
	defer mustClose(t, again)
	wantNumbered(t, again, 41, numbers(41)...)
}

// crash copies a store that is open, as a kill leaves it, and closes the original.
func crash(t *testing.T, s *Store, root string) string {
	t.Helper()
	to := t.TempDir()
	if err := copySparse(to, root); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	return to
}

// TestTheStoreHealsItself: a commit of unknown outcome stops changes, reads find what
// there is or that the store is not available, and once the disk takes writes the journal says what was stored.
// Seen to fail with a failed store that takes changes without having been opened again.
func TestTheStoreHealsItself(t *testing.T) {
	for _, test := range []struct {
		name    string
		persist func(*database) ([]*layer, error)
	}{
		{"it was stored", func(db *database) ([]*layer, error) {
			layers, err := db.persist()
			return layers, errors.Join(err, errDisk)
		}},
		{"it was not stored", func(*database) ([]*layer, error) { return nil, errDisk }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := publishedStore(t, t.TempDir(), 2)
			defer mustClose(t, s)
			var failed sync.Once
			setPersist(s, func(db *database) (layers []*layer, err error) {
				persist := (*database).persist
				failed.Do(func() { persist = test.persist })
				return persist(db)
			})
			before := s.database()
			if err := publishNumbered(s, "o", 2); err != nil { // the journal has it
				t.Fatal(err)
			}
			for i := range 3 {
				if _, err := s.Lookup(t.Context(), numberedRef("o", i)); err != nil && !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("reading %d: %v", i, err)
				}
			}
			eventually(t, "it is opened again and takes changes", func() bool {
				return s.database() != before && s.Condition().Fault == nil
			})
			wantNumbered(t, s, 3, 0, 1, 2)
			if err := publishNumbered(s, "o", 3); err != nil {
				t.Errorf("publishing afterwards: %v", err)
			}
		})
	}
}

// database returns the one that is open, or nil.
func (s *Store) database() *database {
	o, err := s.current()
	if err != nil {
		return nil
	}
	return o.db
}

// setPersist has the database written to in another way.
func setPersist(s *Store, persist func(*database) ([]*layer, error)) {
	s.persister.Lock()
	defer s.persister.Unlock()
	s.persist = persist
}

var errDisk error = &os.PathError{Op: "fsync", Path: "disk", Err: syscall.EIO}

// eventually polls until a state is reached.
func eventually(t testing.TB, what string, reached func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

func numberedRef(owner string, i int) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: "p", Version: fmt.Sprint(i)}, File: "f"}
}

var testAct = store.Act{User: "u", Time: time.Unix(9, 0)}

// TestAChangeThatIsNotJournalledIsNotMade: nothing of it is visible, then or after
// opening again, and an error that is clear does not stop the store.
// Seen to fail with the database committed before the journal; a change acknowledged
// before the journal has it.
func TestAChangeThatIsNotJournalledIsNotMade(t *testing.T) {
	root := t.TempDir()
	s := publishedStore(t, root, 2)
	s.committer.Lock()
	s.appendTo = func(*journal.Journal, []store.Change) (store.Position, error) {
		return store.Position{}, syscall.ENOSPC
	}
	s.committer.Unlock()
	if err := publishNumbered(s, "o", 2); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("publishing: %v", err)
	}
	if err := s.DeleteFile(t.Context(), numberedRef("o", 1), testAct); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("deleting: %v", err)
	}
	wantNumbered(t, s, 3, 0, 1)
	s.committer.Lock()
	s.appendTo = (*journal.Journal).Append
	s.committer.Unlock()
	if err := publishNumbered(s, "o", 3); err != nil {
		t.Errorf("publishing afterwards: %v", err)
	}
	again := mustOpen(t, crash(t, s, root))
	defer mustClose(t, again)
	wantNumbered(t, again, 4, 0, 1, 3)
}
