package webhook_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// holding notes which changes it is to hold, and which are read.
type holding struct {
	store.MetadataStore
	store.Changes
	failing int // which call of LastChange fails

	mu       sync.Mutex
	held     []uint64
	followed []uint64 // after which changes hooks read on
}

func (h *holding) Follow(after uint64) store.Follower {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followed = append(h.followed, after)
	return h.Changes.Follow(after)
}

func (h *holding) LastChange(ctx context.Context) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing--; h.failing == 0 {
		return 0, store.ErrUnavailable
	}
	return h.Changes.LastChange(ctx)
}

func (h *holding) HoldChanges(ctx context.Context, after uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = append(h.held, after)
	return h.Changes.HoldChanges(ctx, after)
}

// newHolding returns a store with bookmarks.
func newHolding(t *testing.T, bookmarks map[string]store.Bookmark) *holding {
	t.Helper()
	opened, err := memory.NewMetadata().Open()
	if err != nil {
		t.Fatal(err)
	}
	h := &holding{MetadataStore: opened, Changes: opened.(store.Changes)}
	if err := h.SaveBookmarks(t.Context(), bookmarks); err != nil {
		t.Fatal(err)
	}
	return h
}

func always(context.Context, time.Duration) (bool, error) { return true, nil }

// TestNoChangesAreGivenUpBeforeItIsKnownWhichHooksThereAre: what was kept over a long stop is
// kept until SetHooks says that no hook needs it.
//
// Seen to fail with a deliverer that takes the hooks for none until then.
func TestNoChangesAreGivenUpBeforeItIsKnownWhichHooksThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolding(t, map[string]store.Bookmark{"old": {After: 1, Saved: time.Now().Add(-24 * time.Hour)}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d := webhook.New(ctx, h, always, slog.New(slog.DiscardHandler))
		go d.Run(ctx)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(h.held) > 0 {
			t.Errorf("before SetHooks it held what is after %d", h.held)
		}
		d.SetHooks(nil)
		if !slices.Contains(h.held, store.NoHold) {
			t.Errorf("without hooks it held what is after %d, want none", h.held)
		}
	})
}

// TestAReceiverThatFailsIsAskedEverMoreSeldom, also by a process that asks for its duty all the
// time.
//
// Seen to fail with runs that are woken each time that the duty was asked for.
func TestAReceiverThatFailsIsAskedEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, MetadataStore: newHolding(t, nil)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d := webhook.New(ctx, w.MetadataStore, always, slog.New(slog.DiscardHandler))
		// Without AllowPrivate, each try fails before it connects.
		d.SetHooks([]webhook.Hook{{Owner: "team", URL: "http://127.0.0.1/", MaxAge: webhook.DefaultMaxAge, MaxBehind: webhook.DefaultMaxBehind}})
		go d.Run(ctx)
		w.publish("team", "1", "a")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		recent := d.Hooks()[0].Recent
		if len(recent) < 2 {
			t.Fatalf("the deliveries are %+v", recent)
		}
		for i, next := range recent[1:] {
			if waited := next.Time.Sub(recent[i].Time); waited < 2*time.Minute || waited > 6*time.Minute {
				t.Errorf("after two hours it is asked again after %v, want up to 5 minutes", waited)
			}
		}
	})
}

// TestAHookThatBeginsLateLosesNothing: what it needs is held, and where it is stays known, while
// the store does not answer it.
//
// Seen to fail with changes that are held for hooks that have begun, and with bookmarks that are
// forgotten of those that have not.
func TestAHookThatBeginsLateLosesNothing(t *testing.T) {
	hooks := []webhook.Hook{{Owner: "a", URL: "http://a/"}, {Owner: "b", URL: "http://b/"}}
	const changes, after = 5, 2 // b is behind
	for name, test := range map[string]struct {
		hooks   []webhook.Hook
		failing int
	}{"the only one": {hooks[1:], 1}, "the first one": {hooks, 1}, "the second one": {hooks, 2}} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // hooks begin in any order
				synctest.Test(t, func(t *testing.T) {
					long := time.Now().Add(-30 * 24 * time.Hour)
					h := newHolding(t, map[string]store.Bookmark{hooks[0].ID(): {After: changes, Saved: long}, hooks[1].ID(): {After: after, Saved: long}})
					w := &world{T: t, MetadataStore: h}
					for i := range changes {
						w.publish("other", "1", fmt.Sprint(i))
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					d := webhook.New(ctx, h, always, slog.New(slog.DiscardHandler))
					h.failing = test.failing
					d.SetHooks(test.hooks)
					if len(h.held) != 1 || h.held[0] != after {
						t.Fatalf("it held what is after %d, want %d", h.held, after)
					}
					go d.Run(ctx)
					time.Sleep(time.Minute)
					synctest.Wait()
					if !slices.Contains(h.followed, after) || len(h.followed) != len(test.hooks) {
						t.Errorf("later the hooks read what is after %d, want one after %d", h.followed, after)
					}
				})
			}
		})
	}
}
