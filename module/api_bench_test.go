package module

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// BenchmarkAPI answers pages of 50 versions of an owner.
func BenchmarkAPI(b *testing.B) {
	h := benchTeam(b)
	for _, page := range []struct{ name, query string }{
		{"owner", "?limit=50"}, {"search", "?limit=50&q=age-99"}, {"package", "/generic/package-7?limit=50"}, {"later", "?limit=50&page=50"},
	} {
		b.Run(page.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if err := h.ServeHTTP(w, withReplacer(httptest.NewRequest(http.MethodGet, "/api/v1/packages/team"+page.query, nil)), nil); err != nil || w.Code != http.StatusOK {
					b.Fatalf("got %d %s, %v", w.Code, w.Body, err)
				}
			}
		})
	}
}

// benchTeam returns a handler of a registry that has the owner team with 1,000 packages, each
// with 5 versions of a file; with GENERIC_REGISTRY_LONG a million files in all.
func benchTeam(b *testing.B) *Handler {
	b.Helper()
	h, _ := benchHandler(b, 1)
	versions := 5
	if os.Getenv("GENERIC_REGISTRY_LONG") != "" {
		versions = 1000
	}
	err := pool.Registries.Use(b.Context(), h.store, func(reg *registry.Registry) error {
		publishers, ctx := errgroup.WithContext(b.Context())
		publishers.SetLimit(64)
		for i := range 1000 * versions {
			publishers.Go(func() error {
				ref := store.Ref{VersionRef: store.VersionRef{Owner: "team", Package: fmt.Sprintf("package-%d", i%1000), Version: fmt.Sprintf("1.%d.0", i/1000)}, File: "f"}
				content := registry.Content{Body: bytes.NewReader([]byte("x")), Size: 1}
				_, err := reg.Publish(ctx, ref, "alice", content, registry.Limits{})
				return err
			})
		}
		return publishers.Wait()
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}
