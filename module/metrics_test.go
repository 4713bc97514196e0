package module

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
)

// TestMetrics: every metric, of two registries and of two that have the same root.
func TestMetrics(t *testing.T) {
	first := inPool(t, "/srv/a", newConditionedBackend(), true)
	damageOne(t, first)
	inPool(t, "/srv/\xff", newConditionedBackend(), true)
	for _, own := range []string{"/srv/one", "/srv/two"} {
		b := newConditionedBackend()
		b.place = "metadata at " + own
		inPool(t, "/srv/same", b, true)
	}
	onRegistry(t, first, func(reg *registry.Registry) {
		publishSized(t, reg, "ten", 10)
		publishSized(t, reg, "more", 2000)
		report, err := reg.Verify(t.Context(), integrity.VerifyOptions{}, nil)
		if err != nil || report.Scrub.Blobs != 3 {
			t.Fatalf("%v, %+v", err, report)
		}
	})
	got := scrape(t)
	for name, want := range map[string]float64{
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
	if len(got) != 4*10 {
		t.Errorf("%d metrics, want 10 of each registry: %v", len(got), got)
	}
}
