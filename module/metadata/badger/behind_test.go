package badger

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// held opens a store whose database gets nothing until that is released, and first
// an error then, if there is one.
func held(t *testing.T, root string) (s *Store, release func(error)) {
	t.Helper()
	s = mustOpen(t, root)
	result := make(chan error, 1)
	setStore(s, func(db *database) ([]*layer, error) {
		if err := <-result; err != nil {
			return nil, err
		}
		return db.store()
	})
	return s, func(err error) { result <- err; close(result) }
}

// TestTheDatabaseFollows: what is journalled is acknowledged and read before the
// database has it, survives a kill then, and is in the database after a stop.
func TestTheDatabaseFollows(t *testing.T) {
	root := t.TempDir()
	s, release := held(t, root)
	for i := range 5 {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteFile(t.Context(), numberedRef("o", 3), testAct); err != nil {
		t.Fatal(err)
	}
	wantNumbered(t, s, 5, 0, 1, 2, 4)
	killed := t.TempDir()
	if err := copySparse(killed, root); err != nil {
		t.Fatal(err)
	}
	release(nil)
	mustClose(t, s)
	again := mustOpen(t, killed)
	wantNumbered(t, again, 5, 0, 1, 2, 4)
	mustClose(t, again)

	var log messages
	stopped := mustOpenLogged(t, root, &log)
	defer mustClose(t, stopped)
	wantNumbered(t, stopped, 5, 0, 1, 2, 4)
	if log.has("the database was behind its journal; the changes it lacked are made again") {
		t.Error("a store that was stopped is behind its journal")
	}
}

// TestNoBytesGoBeforeTheDatabaseKnows: the reaper is told of condemned bytes, and of
// files of a deleted version, once the database has the deletion.
func TestNoBytesGoBeforeTheDatabaseKnows(t *testing.T) {
	s, release := held(t, t.TempDir())
	defer mustClose(t, s)
	for i := range 2 {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		s.DeleteFile(t.Context(), numberedRef("o", 0), testAct),
		s.DeleteVersion(t.Context(), numberedRef("o", 1).VersionRef, testAct),
	); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*storeDelay)
	defer cancel()
	if locators, err := s.Condemned(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("condemned before the database knows: %v, %v", locators, err)
	}
	release(nil)
	var condemned []registry.Locator
	for len(condemned) < 2 {
		locators, err := s.Condemned(t.Context(), 10)
		if err != nil || len(locators) == 0 {
			t.Fatalf("condemned are %v and %v, %v", condemned, locators, err)
		}
		if err := s.Buried(t.Context(), locators); err != nil {
			t.Fatal(err)
		}
		condemned = append(condemned, locators...)
	}
	if locators, err := s.Condemned(t.Context(), 10); err != nil || len(locators) > 0 {
		t.Errorf("still condemned: %v, %v", locators, err)
	}
}

// TestWhatIsAheadIsBounded: changes wait for a database that does not follow, and go
// on when it does, or end when it fails.
func TestWhatIsAheadIsBounded(t *testing.T) {
	for name, fault := range map[string]error{"it follows": nil, "it fails": errDisk} {
		t.Run(name, func(t *testing.T) {
			s, release := held(t, t.TempDir())
			defer mustClose(t, s)
			const fits = 2 * maxAhead / storeSize
			results := make(chan error, fits+1)
			for range cap(results) {
				go func() {
					results <- s.submit(context.Background(), batchWeight, func(b *batch) error {
						b.write(fmt.Appendf(nil, "large/%d", b.seen), make([]byte, storeSize/2))
						return nil
					})
				}()
			}
			for range fits {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the next one waits", func() bool {
				if s.committer.TryLock() {
					s.committer.Unlock()
					return false
				}
				return true
			})
			release(fault)
			if err := <-results; errors.Is(err, registry.ErrUnavailable) != (fault != nil) {
				t.Errorf("the one that waited says %v", err)
			}
		})
	}
}
