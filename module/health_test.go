package module

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestHealth: what each condition of the stores means for the admin endpoint, the
// public path and the metrics.
func TestHealth(t *testing.T) {
	failing := sound
	failing.Fault = errors.New("a commit failed")
	full := sound
	full.Space.Free = 9
	closed := store.Condition{Fault: store.ErrUnavailable}
	edge := sound
	edge.Space.Free = edge.Space.Reserve
	for name, test := range map[string]struct {
		metadata, blobs      store.Condition
		damaged              bool
		live, ready, healthy bool
		problems             []string
	}{
		"all is well":              {sound, sound, false, true, true, true, nil},
		"just the reserve is left": {edge, edge, false, true, true, true, nil},
		"stores without a disk":    {store.Condition{Readable: true, Journal: sound.Journal}, store.Condition{Readable: true}, false, true, true, true, nil},
		"damage":                   {sound, sound, true, true, true, false, []string{"1 blobs are damaged"}},
		"metadata takes nothing":   {failing, sound, false, true, false, false, []string{"metadata: a commit failed"}},
		"blobs take nothing":       {sound, failing, false, true, false, false, []string{"blobs: a commit failed"}},
		"metadata has no room":     {full, sound, false, true, false, false, []string{"metadata: the disk has 9 B free"}},
		"blobs have no room":       {sound, full, true, true, false, false, []string{"blobs: the disk has 9 B free", "1 blobs are damaged"}},
		"metadata cannot be read":  {closed, sound, false, false, false, false, []string{"metadata: store is not available"}},
		"blobs cannot be read":     {sound, closed, false, false, false, false, []string{"blobs: store is not available"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newConditionedBackend()
			h := inPool(t, "/srv/a", b, true)
			b.say(test.metadata, test.blobs)
			var digests []string
			if test.damaged {
				digests = []string{damageOne(t, h)}
			}
			status, all := askHealth(t, "")
			if len(all) != 1 {
				t.Fatalf("%d registries", len(all))
			}
			got := all[0]
			if got.Root != "/srv/a" || got.Live != test.live || got.Ready != test.ready || got.Healthy != test.healthy {
				t.Errorf("health is %+v", got)
			}
			if want := map[bool]int{true: 200, false: 503}[test.ready]; status != want {
				t.Errorf("status is %d, want %d", status, want)
			}
			if len(got.Problems) != len(test.problems) {
				t.Errorf("problems are %q", got.Problems)
			}
			for i, problem := range test.problems {
				if !strings.HasPrefix(got.Problems[i], problem) {
					t.Errorf("problem %q, want %q", got.Problems[i], problem)
				}
			}
			if got.Damaged.Count != int64(len(digests)) || !slices.Equal(got.Damaged.Digests, digests) && len(digests) > 0 {
				t.Errorf("damaged: %+v, want %v", got.Damaged, digests)
			}
			if got.Metadata.Free != test.metadata.Space.Free || got.Blobs.Reserve != test.blobs.Space.Reserve || got.Journal.Sequence != test.metadata.Journal.Sequence {
				t.Errorf("stores are %+v and %+v, journal %+v", got.Metadata, got.Blobs, got.Journal)
			}
			for probe, passes := range map[string]bool{"live": test.live, "ready": test.ready} {
				want := map[bool]string{true: "200 ok", false: "503 unavailable"}[passes]
				if w := h.probe(t, http.MethodGet, "/health/"+probe); w.Result().Status[:3]+" "+w.Body.String() != want {
					t.Errorf("%s: %d %s, want %s", probe, w.Code, w.Body, want)
				}
			}
			values := scrape(t)
			if got := values[`ready{root="/srv/a"}`]; got != map[bool]float64{true: 1, false: 0}[test.ready] {
				t.Errorf("the metric ready is %v", got)
			}
			if got := values[`damaged_blobs{root="/srv/a"}`]; got != float64(len(digests)) {
				t.Errorf("the metric of damage is %v", got)
			}
		})
	}
}

// TestHealthOfWhatIsNotOpen is told at once, with why.
func TestHealthOfWhatIsNotOpen(t *testing.T) {
	opening := inPool(t, "/srv/opening", newConditionedBackend(), false)
	faulty := newConditionedBackend()
	faulty.Fail(store.ErrNoSpace)
	full := inPool(t, "/srv/full", faulty, true)
	open := inPool(t, "/srv/open", newConditionedBackend(), true)

	status, all := askHealth(t, "")
	if status != http.StatusServiceUnavailable || len(all) != 3 {
		t.Fatalf("status %d, %+v", status, all)
	}
	for i, want := range []struct {
		root, problem string
		live          bool
	}{{"/srv/full", "opening metadata: " + store.ErrNoSpace.Error(), false}, {"/srv/open", "", true}, {"/srv/opening", "the registry is being opened", false}} {
		got := all[i]
		if got.Root != want.root || got.Live != want.live || got.Ready != want.live || strings.Join(got.Problems, "") != want.problem {
			t.Errorf("health is %+v, want %+v", got, want)
		}
		if one, only := askHealth(t, "?root="+want.root); len(only) != 1 || only[0].Root != want.root || (one == 200) != want.live {
			t.Errorf("asked for %s alone: %d %+v", want.root, one, only)
		}
	}
	for _, h := range []*Handler{opening, full, {store: pool.Key{Metadata: "gone"}, health: open.health}} {
		for _, path := range []string{"/health/live", "/health/ready"} {
			if w := h.probe(t, http.MethodGet, path); w.Code != http.StatusServiceUnavailable || w.Body.String() != "unavailable" {
				t.Errorf("%s of %v: %d %s", path, h.store, w.Code, w.Body)
			}
		}
	}
	if status, _ := askHealth(t, "?root=/srv/other"); status != http.StatusNotFound {
		t.Errorf("a root that there is not: %d", status)
	}
	w := httptest.NewRecorder()
	if err := answered(serveHealth).ServeHTTP(w, httptest.NewRequest(http.MethodPost, adminPath+healthPath, nil)); err != nil || w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d (%v), want 405", w.Code, err)
	}
	values := scrape(t)
	for root, want := range map[string]float64{"/srv/opening": 0, "/srv/full": 0, "/srv/open": 1} {
		if got, ok := values[`ready{root="`+root+`"}`]; !ok || got != want {
			t.Errorf("the metric ready of %s is %v, %v", root, got, ok)
		}
	}
	if _, ok := values[`damaged_blobs{root="/srv/full"}`]; ok {
		t.Error("there is a metric of damage that nobody can know")
	}
}

func TestHealthOfNothing(t *testing.T) {
	if status, all := askHealth(t, ""); status != http.StatusOK || len(all) != 0 || all == nil {
		t.Errorf("status %d, %v", status, all)
	}
}

// TestProbes: the paths are compared as the prefix is, and take GET and HEAD only.
func TestProbes(t *testing.T) {
	h := inPool(t, "/srv/a", newConditionedBackend(), true)
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/health/live", 200},
		{"HEAD", "/health/ready", 200},
		{"GET", "//health//ready", 200},
		{"GET", "/he%61lth/live", 200},
		{"POST", "/health/live", 405},
		{"PUT", "/health/ready", 405},
		{"DELETE", "/health/ready", 405},
		{"OPTIONS", "/health/ready", 405},
		{"GET", "/health", 418},
		{"GET", "/health/", 418},
		{"GET", "/health/live/x", 418},
		{"GET", "/Health/live", 418},
		{"GET", "/health/LIVE", 418},
		{"GET", "/health%2Flive", 418},
		{"GET", "/live", 418},
		{"GET", "/x/health/live", 418},
	} {
		w := h.probe(t, test.method, test.path)
		if w.Code != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, w.Code, test.status)
		}
		if w.Code == http.StatusTeapot {
			continue
		}
		header := w.Result().Header
		if header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "text/plain; charset=utf-8" || (header.Get("Allow") == "GET, HEAD") != (test.status == 405) {
			t.Errorf("%s %s: headers are %v", test.method, test.path, header)
		}
	}
	h.Health, h.health = "", nil
	if w := h.probe(t, "GET", "/health/live"); w.Code != http.StatusTeapot {
		t.Errorf("without a health path: %d", w.Code)
	}
}

func TestHealthPathsThatCannotBe(t *testing.T) {
	t.Setenv("HEALTH", "/internal")
	for _, test := range []struct {
		health, prefix string
		ok             bool
	}{
		{"", "/api", true}, {"/health", "/api", true}, {"/", "/api", true}, {"/{env.HEALTH}", "/api", true}, {"/API", "/api", true}, {"/apis", "/api", true},
		{"/api", "/api/packages", true}, {"/api", "/api/live/packages", true},
		{"/api", "/api", false}, {"/api/health", "/api", false}, {"//api/", "/api", false}, {"/a%70i/x", "/api", false}, {"/x", "/", false}, {"/", "/", false},
		{"/", "/live", false}, {"/", "/ready", false}, {"/x", "/x/ready", false}, {"{env.HEALTH}", "/internal", false},
		{"health", "/api", false}, {"/a/../b", "/api", false}, {"/%zz", "/api", false}, {"{nothing.known}", "/api", false},
	} {
		h := &Handler{Health: test.health, Prefix: test.prefix}
		if err := h.provisionHealth(); (err == nil) != test.ok {
			t.Errorf("health %q beside prefix %q: %v", test.health, test.prefix, err)
		}
	}
}

// TestSettingsOfScrubs: zero is the default, below -1 nothing is meant.
func TestSettingsOfScrubs(t *testing.T) {
	for set, want := range map[int64]int64{0: integrity.DefaultScrubRate, 1: 1, scrubOff: scrubOff, -2: 0} {
		h := &Handler{Root: t.TempDir(), ScrubRate: set, log: zap.NewNop()}
		err := h.provisionSettings()
		if (err == nil) != (want != 0) || err == nil && h.ScrubRate != want {
			t.Errorf("%d is %d: %v", set, h.ScrubRate, err)
		}
	}
}
