package badger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
)

// long makes the same tests run at full size.
const long = "GENERIC_REGISTRY_LONG"

// listing is everything that clients can tell of a store, in the order of its keys.
func listing(t *testing.T, s *Store) (lines []string) {
	t.Helper()
	err := s.opened.db.view(func(r reader) error {
		return r.scan([]byte(versionPrefix), nil, func(key, value []byte) error {
			var version versionRecord
			if err := coding.Decode(key, value, &version); err != nil {
				return err
			}
			return r.scan(filesKey(version.id), nil, func(key, value []byte) error {
				var file fileRecord
				if err := coding.Decode(key, value, &file); err != nil {
					return err
				}
				blob, err := findBlob(r, file.digest)
				lines = append(lines, fmt.Sprintf("%d %s/%s/%s/%s %d %s %v %d %s", version.id, version.owner, version.name, version.version, file.name, file.id, file.creator, file.created, file.size, blob.Locator))
				return err
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestRebuildGivesTheSameListing: a database that is gone is made of the journal
// alone, in a time that the test logs.
func TestRebuildGivesTheSameListing(t *testing.T) {
	files := 3_000
	if os.Getenv(long) != "" {
		files = 100_000
	}
	root := t.TempDir()
	s := mustOpen(t, root)
	var clients sync.WaitGroup
	for client := range 64 {
		clients.Go(func() {
			for i := client; i < files; i += 64 {
				if err := publishNumbered(s, fmt.Sprint("owner", i%7), i); err != nil {
					t.Error(err)
					return
				}
				if i%10 == 0 {
					if err := s.DeleteFile(t.Context(), numberedRef(fmt.Sprint("owner", i%7), i), testAct); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	clients.Wait()
	want := listing(t, s)
	mustClose(t, s)
	names, err := databaseFiles(filepath.Join(root, "metadata"), allFiles...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	again := mustOpen(t, root)
	t.Logf("%d changes replayed in %s", again.Condition().Journal.Sequence, time.Since(start).Round(time.Millisecond))
	if len(want) != files-(files+9)/10 {
		t.Fatalf("%d files were published and not deleted", len(want))
	}
	wantListing(t, again, want)
	mustClose(t, again)
	start = time.Now()
	again = mustOpen(t, root)
	t.Logf("opened after a close in %s", time.Since(start).Round(time.Millisecond))
	crashed := crash(t, again, root)
	start = time.Now()
	again = mustOpen(t, crashed)
	defer mustClose(t, again)
	t.Logf("opened after a crash in %s", time.Since(start).Round(time.Millisecond))
}
