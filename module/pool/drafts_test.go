package pool

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// slowTotals is metadata that takes its time to say what there is in all, as that of many
// owners does.
type slowTotals struct {
	*memory.Backend
	takes time.Duration
}

func (s *slowTotals) OpenMetadata(ctx context.Context, root string, log *slog.Logger) (store.MetadataStore, error) {
	opened, err := s.Backend.OpenMetadata(ctx, root, log)
	return &totaling{opened, s.takes}, err
}

type totaling struct {
	store.MetadataStore
	takes time.Duration
}

func (s *totaling) Totals(context.Context) (store.Totals, error) {
	time.Sleep(s.takes)
	return store.Totals{}, nil
}

// TestARestartKeepsDrafts for as long as the configuration says, also one that starts while the
// registry is being opened.
//
// Seen to fail with registry.DefaultDraftTTL for the first rounds.
func TestARestartKeepsDrafts(t *testing.T) {
	const day = 24 * time.Hour
	draft := store.Publication{Ref: testRef, Blob: store.Blob{Locator: store.NewLocator(1)}, Draft: true}
	for name, ttls := range map[string][]time.Duration{
		"the configuration keeps them": {30 * day}, "a configuration that starts meanwhile keeps them": {0, 30 * day},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				backend := &slowTotals{memory.NewBackend(), time.Hour}
				opened, err := backend.Metadata.Open()
				if err != nil {
					t.Fatal(err)
				}
				draft.Stored, draft.Created = opened.Clock(), time.Now().Add(-10*day)
				if _, _, err := opened.Publish(t.Context(), draft); err != nil {
					t.Fatal(err)
				}
				if err := opened.Close(); err != nil {
					t.Fatal(err)
				}
				p := New()
				for _, ttl := range ttls {
					e, config := mustTake(t, p), configOf(backend.Backend, quietLog)
					defer p.leave(e)
					config.Metadata, config.DraftTTL, config.ScrubRate = backend, ttl, -1
					ctx, cancel := context.WithTimeout(t.Context(), testStartWait)
					defer cancel()
					if err := e.start(ctx, config); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * backend.takes)
				synctest.Wait()
				err = p.Use(t.Context(), testKey, func(reg *registry.Registry) error {
					_, err := reg.LookupDraft(t.Context(), testRef)
					return err
				})
				if err != nil {
					t.Errorf("the draft: %v", err)
				}
			})
		})
	}
}
