package module

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// BenchmarkPages makes pages for people: what their CPU is, that of the store included.
func BenchmarkPages(b *testing.B) {
	h := benchTeam(b)
	h.Browse = &Browse{}
	if err := h.provisionBrowse(); err != nil {
		b.Fatal(err)
	}
	err := pool.Registries.Use(b.Context(), h.store, func(reg *registry.Registry) error {
		for i := range 50 {
			ref := store.Ref{VersionRef: store.VersionRef{Owner: "full", Package: "p", Version: "1"}, File: fmt.Sprintf("tool_1.24.0_%d.tar.gz", i)}
			if _, err := reg.Publish(b.Context(), ref, "alice", registry.Content{Body: strings.NewReader("x"), Size: 1}, registry.Limits{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	used := func() int64 {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return usage.Utime.Nano() + usage.Stime.Nano()
	}
	for _, page := range []struct{ name, folder string }{
		{"owners", ""}, {"owner", "team/"}, {"owner, later", "team/?after=package-7"}, {"search", "team/?q=age-99"},
		{"package", "team/generic/package-7/"}, {"package by semver", "team/generic/package-7/?sort=semver"}, {"version", "team/generic/package-7/1.1.0/"},
		{"version of 50 files", "full/generic/p/1/"},
	} {
		b.Run(page.name, func(b *testing.B) {
			size, before := 0, used()
			for b.Loop() {
				w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/packages/"+page.folder, nil)
				r.Header.Set("Accept", "text/html")
				if err := h.ServeHTTP(w, withReplacer(r), nil); err != nil || w.Code != http.StatusOK {
					b.Fatalf("got %d %s, %v", w.Code, w.Body, err)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(size), "B/page")
		})
	}
}
