package registry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func mustTake(t *testing.T, h *hold) (release func()) {
	t.Helper()
	release, err := h.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestNoBatchBeginsDuringABackup(t *testing.T) {
	var h hold
	first, second := mustTake(t, &h), mustTake(t, &h)
	for _, release := range []func(){first, second} {
		if h.begin() {
			t.Error("a batch begins while a backup runs")
		}
		release()
	}
	for range 2 {
		if !h.begin() {
			t.Fatal("no batch begins after the backups")
		}
	}
	h.end()
	h.end()
}

func TestABackupWaitsForBatchesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hold
		h.begin()
		h.begin()
		held := make(chan struct{})
		go func() {
			defer close(held)
			defer mustTake(t, &h)()
		}()
		for range 2 {
			synctest.Wait()
			select {
			case <-held:
				t.Fatal("the backup does not wait")
			default:
			}
			h.end()
		}
		<-held
		if !h.begin() {
			t.Error("no batch begins after the backup")
		}
		h.end()
	})
}

func TestABackupThatGivesUpHoldsNothing(t *testing.T) {
	var h hold
	h.begin()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	h.end()
	if !h.begin() {
		t.Error("no batch begins")
	}
}

// TestReaperAndSweepAreHeld: both delete nothing meanwhile, and the reaper is woken after
// it. The next sweep is in time for bytes that are a day old.
func TestReaperAndSweepAreHeld(t *testing.T) {
	s := &stubbornStores{condemned: []store.Locator{"a"}, unnamed: []store.Locator{"b"}}
	r := New(s, s, Options{Idle: true})
	if _, err := r.Sweep(t.Context()); err != nil { // sees them for the first time
		t.Fatal(err)
	}
	release, err := r.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	work := func() (removed []int) {
		for _, do := range []func(context.Context) (int, error){r.Reap, r.Sweep} {
			n, err := do(t.Context())
			if err != nil {
				t.Error(err)
			}
			removed = append(removed, n)
		}
		return removed
	}
	if removed := work(); !slices.Equal(removed, []int{0, 0}) || len(s.deleted) > 0 {
		t.Errorf("during a backup %v are removed: %v", removed, s.deleted)
	}
	release()
	select {
	case <-r.condemned:
	default:
		t.Error("the reaper is not woken")
	}
	if removed := work(); !slices.Equal(removed, []int{1, 1}) {
		t.Errorf("after the backup %v are removed", removed)
	}
}
