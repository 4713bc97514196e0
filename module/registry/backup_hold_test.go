package registry

import (
	"context"
	"slices"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestReaperAndSweepAreHeld: both delete nothing meanwhile, and the reaper is woken after
// it. The next sweep is in time for bytes that are a day old.
func TestReaperAndSweepAreHeld(t *testing.T) {
	s := &stubbornStores{condemned: []store.Locator{"a"}, unnamed: []store.Locator{"b"}}
	r := New(s, s, Options{Idle: true})
	if _, err := r.Sweep(t.Context()); err != nil { // sees them for the first time
		t.Fatal(err)
	}
	_, release, err := r.Hold(t.Context())
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
	case <-r.ReapDue():
	default:
		t.Error("the reaper is not woken")
	}
	if removed := work(); !slices.Equal(removed, []int{1, 1}) {
		t.Errorf("after the backup %v are removed", removed)
	}
}
