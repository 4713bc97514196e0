package webhook_test

import (
	"context"
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

// holding notes which changes it is to hold.
type holding struct {
	store.MetadataStore
	store.Changes
	mu   sync.Mutex
	held []uint64
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
