package module

import (
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

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// conditionedBackend opens stores in memory that say what they are told of their
// condition.
type conditionedBackend struct {
	*fakeBackend
	metadata, blobs atomic.Pointer[store.Condition]
}

var sound = store.Condition{Readable: true, Space: store.Space{Free: 100, Reserve: 10}, Journal: store.Position{Sequence: 7}}

func newConditionedBackend() *conditionedBackend {
	b := &conditionedBackend{fakeBackend: newFakeBackend()}
	b.say(sound, sound)
	return b
}

func (b *conditionedBackend) say(metadata, blobs store.Condition) {
	b.metadata.Store(&metadata)
	b.blobs.Store(&blobs)
}

func (b *conditionedBackend) OpenMetadata(ctx context.Context, root string, log *slog.Logger) (store.MetadataStore, error) {
	metadata, err := b.fakeBackend.OpenMetadata(ctx, root, log)
	return conditionedMetadata{metadata, &b.metadata}, err
}

func (b *conditionedBackend) OpenBlobs(ctx context.Context, root string, log *slog.Logger) (store.BlobStore, error) {
	blobs, err := b.fakeBackend.OpenBlobs(ctx, root, log)
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

// inPool puts a registry into the process's pool, started or not, and returns a
// handler over it.
func inPool(t *testing.T, root string, b *conditionedBackend, start bool) *Handler {
	t.Helper()
	key := storeKey{metadata: "metadata at " + root, blobs: "blobs at " + root}
	e, err := stores.take(key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stores.leave(e) })
	e.named.Store(&root)
	config := b.config(quietLog)
	config.metadata, config.blobs, config.root, config.scrubRate = b, b, root, scrubOff
	if start {
		if err := e.start(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	h := &Handler{Prefix: "/api/packages", Health: "/health", store: key}
	if h.prefix, err = parsePath("prefix", h.Prefix); err != nil {
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
func damageOne(t *testing.T, h *Handler) string {
	t.Helper()
	e := stores.join(h.store)
	defer stores.leave(e)
	reg, err := e.wait(t.Context(), openWait)
	if err != nil {
		t.Fatal(err)
	}
	publishSized(t, reg, "f", 1000)
	file, err := reg.Lookup(t.Context(), refOf("o", "p", "1", "f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.stores.blobs.Delete(t.Context(), file.Locator); err != nil {
		t.Fatal(err)
	}
	if _, _, err := reg.Open(t.Context(), file.Ref); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("error is %v", err)
	}
	return file.Digest.String()
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
