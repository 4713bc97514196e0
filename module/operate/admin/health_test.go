package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/pool/pooltest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

var sound = store.Condition{Readable: true, Space: store.Space{Free: 100, Reserve: 10}, Journal: store.Position{Sequence: 7}}

// askHealth asks the admin endpoint.
func askHealth(t *testing.T, query string) (status int, all []health.Registry) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := answering(serveHealth).ServeHTTP(w, httptest.NewRequest(http.MethodGet, Path+HealthPath+query, nil)); err != nil {
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

// TestHealth: what each condition of the stores means.
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
			b := memory.NewBackend()
			b.Tell(sound, sound)
			key := pooltest.Start(t, "/srv/a", b)
			var digests []string
			if test.damaged {
				digests = []string{pooltest.Damage(t, key).Digest.String()}
			}
			b.Tell(test.metadata, test.blobs)
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
		})
	}
}

// TestHealthOfAStoreThatIsNotOpen: health answers at once, and says why the store is not open.
func TestHealthOfAStoreThatIsNotOpen(t *testing.T) {
	pooltest.Take(t, "/srv/opening", memory.NewBackend())
	faulty := memory.NewBackend()
	faulty.Fail(store.ErrNoSpace)
	pooltest.Start(t, "/srv/full", faulty)
	pooltest.Start(t, "/srv/open", memory.NewBackend())

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
	if status, _ := askHealth(t, "?root=/srv/other"); status != http.StatusNotFound {
		t.Errorf("a root that there is not: %d", status)
	}
	w := httptest.NewRecorder()
	if err := answering(serveHealth).ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path+HealthPath, nil)); err != nil || w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d (%v), want 405", w.Code, err)
	}
}

func TestHealthOfNothing(t *testing.T) {
	if status, all := askHealth(t, ""); status != http.StatusOK || len(all) != 0 || all == nil {
		t.Errorf("status %d, %v", status, all)
	}
}
