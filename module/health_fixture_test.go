package module

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// conditionedBackend opens stores in memory that say what they are told of their
// condition.
type conditionedBackend struct {
	*memory.Backend
	metadata, blobs atomic.Pointer[store.Condition]
	place           string // when not at its root
}

var sound = store.Condition{Readable: true, Space: store.Space{Free: 100, Reserve: 10}, Journal: store.Position{Sequence: 7}}

func newConditionedBackend() *conditionedBackend {
	b := &conditionedBackend{Backend: memory.NewBackend()}
	b.say(sound, sound)
	return b
}

func (b *conditionedBackend) say(metadata, blobs store.Condition) {
	b.metadata.Store(&metadata)
	b.blobs.Store(&blobs)
}

func (b *conditionedBackend) OpenMetadata(ctx context.Context, root string, log *slog.Logger) (store.MetadataStore, error) {
	metadata, err := b.Backend.OpenMetadata(ctx, root, log)
	return conditionedMetadata{metadata, &b.metadata}, err
}

func (b *conditionedBackend) OpenBlobs(ctx context.Context, root string, log *slog.Logger) (store.BlobStore, error) {
	blobs, err := b.Backend.OpenBlobs(ctx, root, log)
	return conditionedBlobs{blobs, &b.blobs}, err
}

type conditionedMetadata struct {
	store.MetadataStore
	condition *atomic.Pointer[store.Condition]
}

func (s conditionedMetadata) Condition() store.Condition { return *s.condition.Load() }

type conditionedBlobs struct {
	store.BlobStore
	condition *atomic.Pointer[store.Condition]
}

func (s conditionedBlobs) Condition() store.Condition { return *s.condition.Load() }

// Identity tells registries with one root apart.
func (b *conditionedBackend) Identity(root string) string { return cmp.Or(b.place, root) }

// inPool puts a registry into the process's pool, started or not, and returns a
// handler over it.
func inPool(t *testing.T, root string, b *conditionedBackend, start bool) *Handler {
	t.Helper()
	config := &pool.Config{Root: root, Metadata: b, Blobs: b, ScrubRate: scrubOff, Log: zap.NewNop(), StoreLog: quietLog}
	lease, err := pool.Registries.Take(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Return)
	if start {
		if err := lease.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h := &Handler{Prefix: "/api/packages", Health: "/health", store: config.Key()}
	if h.site.Prefix, err = visit.ParsePrefix("prefix", h.Prefix); err != nil {
		t.Fatal(err)
	}
	if err := h.provisionHealth(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *Handler) probe(t *testing.T, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	next := nextHandler(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	if err := h.ServeHTTP(w, httptest.NewRequest(method, path, nil), next); err != nil {
		t.Fatal(err)
	}
	return w
}

type nextHandler func(http.ResponseWriter, *http.Request) error

func (n nextHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return n(w, r) }

// askHealth asks the admin endpoint.
func askHealth(t *testing.T, query string) (status int, all []healthJSON) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := answered(serveHealth).ServeHTTP(w, httptest.NewRequest(http.MethodGet, adminPath+healthPath+query, nil)); err != nil {
		t.Fatal(err)
	}
	if w.Code == http.StatusNotFound {
		return w.Code, nil
	}
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("health may be cached")
	}
	return w.Code, all
}

// damageOne publishes a file, loses its bytes and reads it. It returns the digest.
func damageOne(t *testing.T, h *Handler) (digest string) {
	t.Helper()
	onRegistry(t, h, func(reg *registry.Registry) {
		publishSized(t, reg, "f", 1000)
		file, err := reg.Lookup(t.Context(), refOf("o", "p", "1", "f"))
		if err != nil {
			t.Fatal(err)
		}
		if err := reg.Blobs().Delete(t.Context(), file.Locator); err != nil {
			t.Fatal(err)
		}
		if _, _, err := reg.Open(t.Context(), file.Ref); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("error is %v", err)
		}
		digest = file.Digest.String()
	})
	return digest
}

// onRegistry runs a function on the open registry of a handler.
func onRegistry(t *testing.T, h *Handler, do func(*registry.Registry)) {
	t.Helper()
	err := pool.Registries.Use(t.Context(), h.store, func(reg *registry.Registry) error {
		do(reg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// scrape returns the values of our metrics, through a registry as Caddy makes one.
func scrape(t *testing.T) map[string]float64 {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for range 2 { // as many apps and reloads do
		if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
			t.Fatal(err)
		}
	}
	return gather(t, ctx.GetMetricsRegistry())
}

func gather(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		name, ours := strings.CutPrefix(family.GetName(), metricsPrefix)
		if !ours {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetName()+`="`+label.GetValue()+`"`)
			}
			values[name+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}
