package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// messages is a log that a test asks.
type messages struct {
	mu   sync.Mutex
	said []string
}

func (m *messages) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (m *messages) WithAttrs([]slog.Attr) slog.Handler               { return m }
func (m *messages) WithGroup(string) slog.Handler                    { return m }

func (m *messages) Handle(_ context.Context, r slog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = append(m.said, r.Message)
	return nil
}

func (m *messages) has(message string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.said, message)
}

func (m *messages) count(message string) (count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, said := range m.said {
		if said == message {
			count++
		}
	}
	return count
}

func mustOpenLogged(t testing.TB, root string, log slog.Handler) *Store {
	t.Helper()
	metadata, err := (&Backend{Reserve: smallestReserve}).OpenMetadata(context.Background(), root, slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	return metadata.(*Store)
}

// fill publishes files, each as a version of its own, from many at once.
func fill(t testing.TB, s *Store, files int) {
	t.Helper()
	numbers := make(chan int)
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for i := range numbers {
				if err := publishNumbered(s, fmt.Sprint("owner", i%100), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range files {
		numbers <- i
	}
	close(numbers)
	clients.Wait()
}

// TestWhatIsKnownIsNotComparedAgain: a store that was closed, or killed while nothing
// was being compacted, opens without comparing its records; any doubt has them
// compared, and that finds what is missing.
// Seen to fail with a file checked that is not compared with the manifest.
func TestWhatIsKnownIsNotComparedAgain(t *testing.T) {
	const files = 50
	for name, test := range map[string]struct {
		change   func(t *testing.T, dir string)
		compares bool
	}{
		"closed": {func(*testing.T, string) {}, false},
		"without the file checked": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, compactions.CheckedFile)); err != nil {
				t.Fatal(err)
			}
		}, true},
		"with a damaged one": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, compactions.CheckedFile), []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		"with one that cannot be read": {func(t *testing.T, dir string) {
			name := filepath.Join(dir, compactions.CheckedFile)
			if err := errors.Join(os.Remove(name), os.Mkdir(name, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, true},
		"with that of an earlier manifest": {func(t *testing.T, dir string) {
			earlier, err := os.ReadFile(filepath.Join(dir, compactions.CheckedFile))
			if err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, filepath.Dir(dir))
			if err := publishNumbered(s, "o", files); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			if err := os.WriteFile(filepath.Join(dir, compactions.CheckedFile), earlier, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s := mustOpen(t, root)
			for i := range files {
				if err := publishNumbered(s, "o", i); err != nil {
					t.Fatal(err)
				}
			}
			mustClose(t, s)
			test.change(t, filepath.Join(root, "metadata"))
			var log messages
			s = mustOpenLogged(t, root, &log)
			defer mustClose(t, s)
			if got := log.has(comparing); got != test.compares {
				t.Errorf("compared: %v", got)
			}
			wantNumbered(t, s, files, numbers(files)...)
		})
	}
}

// killMarked publishes 51 files and returns a copy of the store as a kill would leave
// it, checked before the last one.
func killMarked(t *testing.T) (killed string) {
	t.Helper()
	killed = t.TempDir()
	root := t.TempDir()
	s := mustOpen(t, root)
	defer mustClose(t, s)
	for i := range 50 {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	s.writeChecked()
	if err := publishNumbered(s, "o", 50); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(killed, root); err != nil {
		t.Fatal(err)
	}
	if len(fullLogs(t, killed)) == 0 {
		t.Fatal("nothing is in a memtable")
	}
	return killed
}

// TestAKilledStoreThatWasMarked opens without comparing its records: the log of one
// memtable can lose only its end, which the journal has.
// Seen to fail with a database used while its logs are not tables yet.
func TestAKilledStoreThatWasMarked(t *testing.T) {
	killed := killMarked(t)
	var log messages
	again := mustOpenLogged(t, killed, &log)
	defer mustClose(t, again)
	if log.has(comparing) {
		t.Error("all records were compared")
	}
	// Badger removes a log some time after its records are in a table.
	if flushed, err := again.opened.db.isFlushed(); err != nil || !flushed {
		t.Errorf("the logs are in tables: %v, %v; want that before the store is used", flushed, err)
	}
	wantNumbered(t, again, 51, numbers(51)...)
}

// TestAKilledStoreWithTwoLogs is compared: the first may have lost its end, which is
// the middle of what the store has.
// Seen to fail with a file checked that counts whatever number of logs there is.
func TestAKilledStoreWithTwoLogs(t *testing.T) {
	killed := killMarked(t)
	logs, err := databaseFiles(filepath.Join(killed, "metadata"), memtableLogs)
	if err != nil || len(logs) != 2 {
		t.Fatalf("logs %v, %v; want one and an empty one", logs, err)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs[1], text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log messages
	again := mustOpenLogged(t, killed, &log)
	defer mustClose(t, again)
	if !log.has(comparing) {
		t.Error("the records were not compared")
	}
	wantNumbered(t, again, 51, numbers(51)...)
}

// TestReadsGoOnUntilLogsAreTables: a store that failed and is opened again takes
// changes only then.
func TestReadsGoOnUntilLogsAreTables(t *testing.T) {
	s, err := openSmall(filepath.Join(t.TempDir(), "metadata"), disk.OS{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if err := publishNumbered(s, "o", 0); err != nil {
		t.Fatal(err)
	}
	db := s.opened.db
	db.found, s.flushing = db.last+1, true
	s.failed.Store(true)
	for range 3 { // each is looked at before the next is taken
		s.wake <- struct{}{}
	}
	if _, err := s.Lookup(t.Context(), numberedRef("o", 0)); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if err := publishNumbered(s, "o", 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("publishing meanwhile: %v", err)
	}
	for flushed := false; !flushed; { // until a table has that transaction
		txn := db.badger.NewTransactionAt(db.found, true)
		if err := errors.Join(txn.Set([]byte("besides"), make([]byte, 500<<10)), txn.CommitAt(db.found, nil)); err != nil {
			t.Fatal(err)
		}
		if flushed, err = db.isFlushed(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "changes are taken again", func() bool { return publishNumbered(s, "o", 1) == nil })
}

// fullLogs are the logs of memtables, but for the next one's, which is set aside.
func fullLogs(t *testing.T, root string) (full []string) {
	t.Helper()
	logs, err := databaseFiles(filepath.Join(root, "metadata"), memtableLogs)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 0 {
			full = append(full, name)
		}
	}
	return full
}

// BenchmarkOpen opens a store that was closed, and one of which nothing is known, as
// after a kill at a bad moment.
func BenchmarkOpen(b *testing.B) {
	for _, files := range []int{100_000, 1_000_000} {
		if files > 100_000 && os.Getenv(long) == "" {
			continue
		}
		root := b.TempDir()
		s := mustOpen(b, root)
		began := time.Now()
		fill(b, s, files)
		b.Logf("%d files published in %s", files, time.Since(began))
		mustClose(b, s)
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprintf("files=%d/known=%v", files, known), func(b *testing.B) {
				for b.Loop() {
					if !known {
						if err := os.Remove(filepath.Join(root, "metadata", compactions.CheckedFile)); err != nil {
							b.Fatal(err)
						}
					}
					mustClose(b, mustOpen(b, root))
				}
			})
		}
	}
}
