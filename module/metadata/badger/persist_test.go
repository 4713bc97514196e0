package badger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// held opens a store whose database gets nothing until that is released, and first
// an error then, if there is one.
func held(t *testing.T, root string) (s *Store, release func(error)) {
	t.Helper()
	s = mustOpen(t, root)
	result := make(chan error, 1)
	setPersist(s, func(db *database) ([]*layer, error) {
		if err := <-result; err != nil {
			return nil, err
		}
		return db.persist()
	})
	return s, func(err error) { result <- err; close(result) }
}

// TestTheDatabaseFollows: what is journalled is acknowledged and read before the
// database has it, survives a kill then, and is in the database after a stop.
// Seen to fail with a change acknowledged before the journal has it.
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

// TestClosingWaitsForTheDatabase, which has all that was acknowledged then: what came
// just after it was given the rest too.
// Seen to fail with committed changes lost when the store is closed.
func TestClosingWaitsForTheDatabase(t *testing.T) {
	for range 8 {
		s := publishedStore(t, t.TempDir(), 1)
		db, stored, hold := s.database(), make(chan struct{}), make(chan struct{})
		var first sync.Once
		setPersist(s, func(db *database) ([]*layer, error) {
			layers, err := db.persist()
			if len(layers) == 0 {
				first.Do(func() { close(stored); <-hold })
			}
			return layers, err
		})
		if err := publishNumbered(s, "o", 1); err != nil {
			t.Fatal(err)
		}
		<-stored
		if err := publishNumbered(s, "o", 2); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		<-s.committed
		close(hold)
		if err := <-closed; err != nil || db.behind > 0 {
			t.Fatalf("%d batches did not reach the database, %v", db.behind, err)
		}
	}
}

// TestNoBytesGoBeforeTheDatabaseKnows: the reaper is told of condemned bytes, and of
// files of a deleted version, once the database has the deletion.
// Seen to fail with a reaper that is told before the database has a deletion.
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
	ctx, cancel := context.WithTimeout(t.Context(), 5*persistDelay)
	defer cancel()
	if locators, err := s.Reclaim(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("condemned before the database knows: %v, %v", locators, err)
	}
	release(nil)
	var condemned []store.Locator
	for len(condemned) < 2 {
		locators, err := s.Reclaim(t.Context(), 10)
		if err != nil || len(locators) == 0 {
			t.Fatalf("condemned are %v and %v, %v", condemned, locators, err)
		}
		if err := s.Bury(t.Context(), locators); err != nil {
			t.Fatal(err)
		}
		condemned = append(condemned, locators...)
	}
	if locators, err := s.Reclaim(t.Context(), 10); err != nil || len(locators) > 0 {
		t.Errorf("still condemned: %v, %v", locators, err)
	}
}

// TestTheReaperIsToldOfAllThatIsStored: not while the database has a deletion and memory
// does not.
// Seen to fail with a reaper that is told before memory knows.
func TestTheReaperIsToldOfAllThatIsStored(t *testing.T) {
	s := publishedStore(t, t.TempDir(), 1)
	defer mustClose(t, s)
	stored, hold := make(chan struct{}), make(chan struct{})
	setPersist(s, func(db *database) ([]*layer, error) {
		layers, err := db.persist()
		select {
		case <-hold:
		default:
			close(stored)
			<-hold
		}
		return layers, err
	})
	if err := s.DeleteFile(t.Context(), numberedRef("o", 0), testAct); err != nil {
		t.Fatal(err)
	}
	<-stored
	ctx, cancel := context.WithTimeout(t.Context(), persistDelay)
	defer cancel()
	if locators, err := s.Reclaim(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the reaper is told %v, %v", locators, err)
	}
	close(hold)
	if locators, err := s.Reclaim(t.Context(), 10); err != nil || len(locators) != 1 {
		t.Errorf("the reaper is told %v, %v", locators, err)
	}
}

// TestAReplayThatMeetsDamage has the database made anew: a store that ran well opens
// after a crash too.
// Seen to fail with a damaged record that keeps the store from opening.
func TestAReplayThatMeetsDamage(t *testing.T) {
	root, killed := t.TempDir(), t.TempDir()
	s := publishedStore(t, root, 3)
	write(t, s, func(b *batch) { b.write(blobKey(store.Digest{1}), []byte("damaged")) })
	hold := make(chan struct{})
	setPersist(s, func(db *database) ([]*layer, error) { <-hold; return db.persist() })
	if err := s.DeleteVersion(t.Context(), numberedRef("o", 0).VersionRef, testAct); err != nil {
		t.Fatal(err)
	}
	writeAhead(s, func(b *batch) { // only the replay meets the damage
		b.put(blobKey(store.Digest{1}), &blobRecord{locator: "00000000/own", size: 1, references: 1})
	})
	if _, _, err := s.Publish(t.Context(), publicationOf(numberedRef("o", 4), 1)); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(killed, root); err != nil {
		t.Fatal(err)
	}
	close(hold)
	mustClose(t, s)
	again := mustOpen(t, killed)
	defer mustClose(t, again)
	wantNumbered(t, again, 5, 1, 2, 4)
	if aside, err := filepath.Glob(filepath.Join(killed, "metadata", "damaged-*")); err != nil || len(aside) != 1 {
		t.Errorf("put aside are %v, %v", aside, err)
	}
}

// TestWhatIsAheadIsBounded: changes wait for a database that does not follow, and go
// on when it does, or end when it fails.
// Seen to fail with no bound for what is ahead of the database.
func TestWhatIsAheadIsBounded(t *testing.T) {
	for name, fault := range map[string]error{"it follows": nil, "it fails": errDisk} {
		t.Run(name, func(t *testing.T) {
			s, release := held(t, t.TempDir())
			defer mustClose(t, s)
			const fits = 2 * maxAhead / transactionSize
			const waiting = 16
			results := make(chan error, fits+waiting)
			for range cap(results) {
				go func() {
					results <- s.submit(context.Background(), batchWeight, func(b *batch) error {
						b.write(fmt.Appendf(nil, "large/%d", b.seen), make([]byte, transactionSize/2))
						return nil
					})
				}()
			}
			for range fits {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the others wait", func() bool { return s.rounds.Waiting() == waiting-1 }) // one is the round in progress
			if _, err := s.Usage(t.Context(), "nobody"); err != nil {
				t.Errorf("reading meanwhile: %v", err)
			}
			release(fault)
			if err := <-results; errors.Is(err, store.ErrUnavailable) != (fault != nil) {
				t.Errorf("the one that waited says %v", err)
			}
			for range waiting - 1 {
				<-results // refused or not: the store opens itself again
			}
		})
	}
}

// TestABatchIsWhatBadgerTakes: however much the operations write that wait at one moment,
// all of it is stored, and made again from the journal.
// Seen to fail with a batch, or a replay, larger than a transaction of Badger.
func TestABatchIsWhatBadgerTakes(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root)
	const tokens, patterns = 60, 30 << 10 // 1.8 MiB, where a transaction takes 1.2
	add := func(i int) error {
		scope := grant.Scope{Actions: []grant.Action{grant.Read}, Packages: mustParsePatterns(t, strings.Repeat("x", patterns))}
		token := grant.Token{ID: fmt.Sprintf("id%08d", i), Name: fmt.Sprint("n", i), User: "u", Scope: scope, Created: time.Unix(1, 0)}
		return s.AddToken(context.Background(), token, store.Digest{1})
	}
	results := make(chan error, tokens+1)
	begun, release := make(chan struct{}), make(chan struct{})
	go func() {
		results <- s.submit(context.Background(), 1, func(*batch) error { close(begun); <-release; return nil })
	}()
	<-begun
	for i := range tokens {
		go func() { results <- add(i) }()
	}
	eventually(t, "all of them wait", func() bool { return s.rounds.Waiting() == tokens })
	close(release)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.awaitPersisted(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if err := (&Backend{Reserve: smallestReserve}).Rebuild(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, root)
	defer mustClose(t, again)
	if found, err := again.Tokens(t.Context()); err != nil || len(found) != tokens {
		t.Errorf("%d tokens of %d, %v", len(found), tokens, err)
	}
}

func mustParsePatterns(t *testing.T, texts ...string) []naming.Pattern {
	t.Helper()
	patterns, err := naming.ParsePatterns(texts)
	if err != nil {
		t.Fatal(err)
	}
	return patterns
}

// TestAFailedJournalCostsNothing: what was acknowledged before reaches the database, also
// when the store is closed before the journal can be opened again.
// Seen to fail with committed changes lost when the journal fails.
func TestAFailedJournalCostsNothing(t *testing.T) {
	fsys := new(stuckDisk)
	s, err := open(t.Context(), filepath.Join(t.TempDir(), "metadata"), smallestReserve, discard, fsys)
	if err != nil {
		t.Fatal(err)
	}
	fsys.stuck.Store(true)
	before := s.opened.db
	hold := make(chan struct{})
	setPersist(s, func(db *database) ([]*layer, error) { <-hold; return db.persist() })
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Fatal(err)
	}
	s.committer.Lock()
	s.appendTo = func(*journal.Journal, []store.Change) (store.Position, error) {
		return store.Position{}, journal.ErrUnclear
	}
	s.committer.Unlock()
	if err := publishNumbered(s, "o", 2); !errors.Is(err, journal.ErrUnclear) {
		t.Fatalf("publishing: %v", err)
	}
	close(hold)
	mustClose(t, s)
	if before.behind > 0 {
		t.Errorf("%d batches did not reach the database", before.behind)
	}
}

// TestRebuildingTheJournalAfterACrash keeps what only the old journal had, as far as it
// is whole: the database was behind it.
// Seen to fail with changes forgotten that only the old journal had.
func TestRebuildingTheJournalAfterACrash(t *testing.T) {
	const files, stored = 9, 3
	for _, test := range []struct {
		name string
		line int // that is damaged, or 0
		want int // files that are left
	}{
		{"a whole journal", 0, files},
		{"damage to what the database has", stored - 1, files},
		{"damage behind it", stored + 3, stored + 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, killed := t.TempDir(), t.TempDir()
			s := publishedStore(t, root, stored)
			if err := s.awaitPersisted(t.Context()); err != nil {
				t.Fatal(err)
			}
			hold := make(chan struct{})
			setPersist(s, func(db *database) ([]*layer, error) { <-hold; return db.persist() })
			for i := stored; i < files; i++ {
				if err := publishNumbered(s, "o", i); err != nil {
					t.Fatal(err)
				}
			}
			if err := copySparse(killed, root); err != nil {
				t.Fatal(err)
			}
			close(hold)
			mustClose(t, s)
			if test.line > 0 {
				changeLine(t, killed, test.line)
			}
			if err := (&Backend{Reserve: smallestReserve}).RebuildJournal(t.Context(), killed, discard); err != nil {
				t.Fatal(err)
			}
			again := mustOpen(t, killed)
			defer mustClose(t, again)
			wantNumbered(t, again, files, numbers(test.want)...)
		})
	}
}

// TestRebuildingTheJournalOfAnother takes nothing from a journal that is not the store's,
// though its changes would follow.
// Seen to fail with changes taken that another's journal has.
func TestRebuildingTheJournalOfAnother(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	mustClose(t, mustOpen(t, root))
	mustClose(t, publishedStore(t, other, 3))
	swapJournal(t, root, other)
	if err := (&Backend{Reserve: smallestReserve}).RebuildJournal(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, 3)
}
