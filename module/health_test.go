package module

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/pool/pooltest"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// probed is a handler of a registry of the process's pool.
func probed(t *testing.T, key pool.Key) *Handler {
	t.Helper()
	h := &Handler{Prefix: "/api/packages", API: "off", Health: "/health", store: key}
	var err error
	h.site.Prefix, err = visit.ParsePrefix("prefix", h.Prefix)
	if err := errors.Join(err, h.provisionHealth(), h.provisionAPI()); err != nil {
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

// TestProbesTellTheHealth: of a registry that is open or not.
func TestProbesTellTheHealth(t *testing.T) {
	sound := store.Condition{Readable: true, Space: store.Space{Free: 100, Reserve: 10}}
	failing, closed := sound, store.Condition{Fault: store.ErrUnavailable}
	failing.Fault = errors.New("a commit failed")
	start := func(t *testing.T, metadata, blobs store.Condition) pool.Key {
		b := memory.NewBackend()
		b.Tell(metadata, blobs)
		return pooltest.Start(t, "/srv/a", b)
	}
	for name, test := range map[string]struct {
		key         func(*testing.T) pool.Key
		live, ready bool
	}{
		"all is well":             {func(t *testing.T) pool.Key { return start(t, sound, sound) }, true, true},
		"metadata takes nothing":  {func(t *testing.T) pool.Key { return start(t, failing, sound) }, true, false},
		"blobs take nothing":      {func(t *testing.T) pool.Key { return start(t, sound, failing) }, true, false},
		"metadata cannot be read": {func(t *testing.T) pool.Key { return start(t, closed, sound) }, false, false},
		"blobs cannot be read":    {func(t *testing.T) pool.Key { return start(t, sound, closed) }, false, false},
		"damage": {func(t *testing.T) pool.Key {
			key := start(t, sound, sound)
			pooltest.Damage(t, key)
			return key
		}, true, true},
		"it is being opened": {func(t *testing.T) pool.Key {
			key, _ := pooltest.Take(t, "/srv/a", memory.NewBackend())
			return key
		}, false, false},
		"the disk is full": {func(t *testing.T) pool.Key {
			b := memory.NewBackend()
			b.Fail(store.ErrNoSpace)
			return pooltest.Start(t, "/srv/a", b)
		}, false, false},
		"no configuration uses it": {func(*testing.T) pool.Key { return pool.Key{Metadata: "gone"} }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := probed(t, test.key(t))
			for probe, passes := range map[string]bool{"live": test.live, "ready": test.ready} {
				want := map[bool]string{true: "200 ok", false: "503 unavailable"}[passes]
				if w := h.probe(t, http.MethodGet, "/health/"+probe); w.Result().Status[:3]+" "+w.Body.String() != want {
					t.Errorf("%s: got %d %s, want %s", probe, w.Code, w.Body, want)
				}
			}
		})
	}
}

// TestProbes: the paths are compared as the prefix is, and take GET and HEAD only.
func TestProbes(t *testing.T) {
	h := probed(t, pooltest.Start(t, "/srv/a", memory.NewBackend()))
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
	h.Health, h.probes = "", nil
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

// TestHealthBesideTheJSONAPI: what placeholders stand for is known when the config is loaded.
//
// Seen to fail without CheckHealth in provisionAPI.
func TestHealthBesideTheJSONAPI(t *testing.T) {
	t.Setenv("HEALTH", "/api/v1/packages")
	for path, ok := range map[string]bool{"{env.HEALTH}": false, "{env.HEALTH}/team": false, "/api/v1/health": true} {
		h := &Handler{Root: t.TempDir(), Health: path, log: zap.NewNop()}
		if err := h.provisionSettings(); (err == nil) != ok {
			t.Errorf("health %q: %v", path, err)
		}
	}
}

// TestSettingsOfScrubs: below -1 nothing is meant, and zero is the default of the blob store.
func TestSettingsOfScrubs(t *testing.T) {
	for set, ok := range map[int64]bool{0: true, 1: true, scrubOff: true, -2: false} {
		h := &Handler{Root: t.TempDir(), ScrubRate: set, log: zap.NewNop()}
		if err := h.provisionSettings(); (err == nil) != ok || h.ScrubRate != set {
			t.Errorf("%d became %d: %v", set, h.ScrubRate, err)
		}
	}
	for want, backend := range map[int64]any{integrity.DefaultScrubRate: &filesystem.Backend{}, scrubOff: &s3.Backend{}} {
		if got := defaultScrub(backend); got != want {
			t.Errorf("%T: got a scrub of %d, want %d", backend, got, want)
		}
	}
}
