package metrics

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/generic-registry/caddy-generic-registry/module/pool/pooltest"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// TestMetrics: every metric, of two registries and of two that have the same root.
func TestMetrics(t *testing.T) {
	backend := func() *memory.Backend {
		b := memory.NewBackend()
		sound := store.Condition{Readable: true, Space: store.Space{Free: 100, Reserve: 10}, Journal: store.Position{Sequence: 7}}
		b.Tell(sound, sound)
		return b
	}
	first := pooltest.Start(t, "/srv/a", backend())
	pooltest.Damage(t, first)
	pooltest.Start(t, "/srv/\xff", backend())
	for _, own := range []string{"/srv/one", "/srv/two"} {
		b := backend()
		b.Place = "metadata at " + own
		pooltest.Start(t, "/srv/same", b)
	}
	pooltest.Publish(t, first, "ten", strings.Repeat("x", 10))
	pooltest.Publish(t, first, "more", strings.Repeat("x", 2000))
	pooltest.Use(t, first, func(reg *registry.Registry) {
		report, err := reg.Verify(t.Context(), integrity.VerifyOptions{}, nil)
		if err != nil || report.Scrub.Blobs != 3 {
			t.Fatalf("%v, %+v", err, report)
		}
	})
	got := scrape(t)
	for name, want := range map[string]float64{
		`uploads{root="/srv/a"}`:                                    0,
		`resumable_uploads{root="/srv/a"}`:                          0,
		`published_files_total{root="/srv/a"}`:                      3,
		`published_bytes_total{root="/srv/a"}`:                      3010,
		`deduplicated_bytes_total{root="/srv/a"}`:                   0,
		`withheld_blobs{root="/srv/a"}`:                             0,
		`scrub_running{root="/srv/a"}`:                              0,
		`ready{root="/srv/a"}`:                                      1,
		`damaged_blobs{root="/srv/a"}`:                              1,
		`scrubbed_blobs_total{root="/srv/a"}`:                       3,
		`scrubbed_bytes_total{root="/srv/a"}`:                       2010,
		`journal_sequence{root="/srv/a"}`:                           7,
		`journal_damaged{root="/srv/a"}`:                            0,
		`free_bytes{root="/srv/a",store="metadata"}`:                100,
		`free_bytes{root="/srv/a",store="blobs"}`:                   100,
		`reserve_bytes{root="/srv/a",store="metadata"}`:             10,
		`reserve_bytes{root="/srv/a",store="blobs"}`:                10,
		"ready{root=\"/srv/\uFFFD\"}":                               1,
		`ready{root="/srv/same (metadata at /srv/one)"}`:            1,
		`ready{root="/srv/same (metadata at /srv/two)"}`:            1,
		`damaged_blobs{root="/srv/same (metadata at /srv/two)"}`:    0,
		`journal_sequence{root="/srv/same (metadata at /srv/one)"}`: 7,
		`journal_damaged{root="/srv/same (metadata at /srv/one)"}`:  0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, %v; want %v", name, value, ok, want)
		}
	}
	delete(got, `scrub_finished_seconds{root="/srv/a"}`) // only of a pass that ended
	if len(got) != 4*19 {
		t.Errorf("%d metrics, want 19 of each registry: %v", len(got), got)
	}
}

// TestMetricsOfAStoreThatIsNotOpen: the registry is not ready, and has no other metrics.
func TestMetricsOfAStoreThatIsNotOpen(t *testing.T) {
	pooltest.Take(t, "/srv/opening", memory.NewBackend())
	full, failing := memory.NewBackend(), memory.NewBackend()
	full.Fail(store.ErrNoSpace)
	pooltest.Start(t, "/srv/full", full)
	failing.Tell(store.Condition{Readable: true, Fault: errors.New("a commit failed")}, store.Condition{Readable: true})
	pooltest.Start(t, "/srv/failing", failing)
	pooltest.Start(t, "/srv/open", memory.NewBackend())
	values := scrape(t)
	for root, want := range map[string]float64{"/srv/opening": 0, "/srv/full": 0, "/srv/failing": 0, "/srv/open": 1} {
		if got, ok := values[`ready{root="`+root+`"}`]; !ok || got != want {
			t.Errorf("ready of %s: got %v, %t, want %v", root, got, ok, want)
		}
	}
	if _, ok := values[`damaged_blobs{root="/srv/full"}`]; ok {
		t.Error("there is a metric of damage that nobody can know")
	}
}

// scrape returns the values of our metrics, through a registry as Caddy makes one.
func scrape(t *testing.T) map[string]float64 {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for range 2 { // as many apps and reloads do
		if err := Register(ctx.GetMetricsRegistry()); err != nil {
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
		name, ours := strings.CutPrefix(family.GetName(), prefix)
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
