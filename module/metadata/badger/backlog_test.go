package badger

import (
	"fmt"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestMemoryOfWhatWaitsForTheReaperIsBounded: more locators are condemned than are kept
// in memory, while the reaper works too. Every one is offered until it is buried.
func TestMemoryOfWhatWaitsForTheReaperIsBounded(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root)
	left := make(map[store.Locator]bool)
	condemn := func(from, to int) {
		t.Helper()
		err := s.submit(t.Context(), batchWeight, func(b *batch) error {
			for i := from; i < to; i++ {
				locator := store.Locator(fmt.Sprintf("%08d/x", i))
				left[locator] = true
				b.condemn(locator)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const first, count = 100_000, 2*backlogSize + 5_000
	for i := first; i < first+count; i += 1_000 {
		condemn(i, i+1_000)
	}
	mustClose(t, s)
	s = mustOpen(t, root)
	defer func() { mustClose(t, s) }()
	rounds := 0
	for ; len(left) > 0; rounds++ {
		page, err := s.Reclaim(t.Context(), 1_000)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d are left, and %d are offered: %v", len(left), len(page), err)
		}
		for _, locator := range page {
			if !left[locator] {
				t.Fatalf("%s is offered again", locator)
			}
			delete(left, locator)
		}
		if err := s.Bury(t.Context(), page); err != nil {
			t.Fatal(err)
		}
		if got := len(s.condemned.known); got > backlogSize {
			t.Fatalf("%d locators are in memory, at most %d may be", got, backlogSize)
		}
		if rounds == 12 { // more than there is room for, before the page that is read next
			for i := 0; i < backlogSize+2_000; i += 1_000 {
				condemn(i, i+1_000)
			}
		}
	}
	if page, err := s.Reclaim(t.Context(), 1_000); err != nil || len(page) > 0 {
		t.Errorf("at the end: %d, %v", len(page), err)
	}
}

// TestAReplayCondemnsNothing: what nothing names is the sweep's, and a replay of a long
// history leaves no record of what was deleted.
func TestAReplayCondemnsNothing(t *testing.T) {
	root := t.TempDir()
	s := publishedStore(t, root, 40)
	for i := range 30 {
		del := func() error { return s.DeleteFile(t.Context(), numberedRef("o", i), testAct) }
		if i%2 == 0 {
			del = func() error { return s.DeleteVersion(t.Context(), numberedRef("o", i).VersionRef, testAct) }
		}
		if err := del(); err != nil {
			t.Fatal(err)
		}
	}
	want := listing(t, s)
	mustClose(t, s)
	if err := (&Backend{Reserve: smallestReserve}).Rebuild(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, root)
	defer mustClose(t, s)
	wantListing(t, s, want)
	if condemned, err := s.Reclaim(t.Context(), 100); err != nil || len(condemned) > 0 {
		t.Errorf("condemned: %v, %v", condemned, err)
	}
	for _, prefix := range []string{condemnedPrefix, gravePrefix} {
		err := s.opened.db.view(func(r reader) error {
			return r.scan([]byte(prefix), nil, func(key, _ []byte) error { return fmt.Errorf("left: %q", key) })
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// wantListing compares a store with what clients could tell of it before.
func wantListing(t *testing.T, s *Store, want []string) {
	t.Helper()
	got := listing(t, s)
	if len(got) != len(want) {
		t.Fatalf("%d files, were %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("line %d is %s, was %s", i, got[i], want[i])
		}
	}
	if err := s.Check(t.Context(), func(problem string) { t.Error(problem) }); err != nil {
		t.Error(err)
	}
}
