package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// TestRefusalsTouchNoStore: whoever may not read an owner learns nothing, and the time that
// an answer takes cannot tell either. Seen to fail when the store was asked before v.May. The
// header of refusals is Gitea's: seen to fail with that of other wings.
func TestRefusalsTouchNoStore(t *testing.T) {
	rules, err := access.Compile([]access.OwnerRule{{Owner: "private", Permissions: access.Permissions{Read: []string{"alice"}}}}, nil, access.Republishing{})
	if err != nil {
		t.Fatal(err)
	}
	site := &visit.Site{
		Rules: rules, CrossSite: http.NewCrossOriginProtection(), Log: zap.NewNop(), Audit: zap.NewNop(),
		Use: func(context.Context, func(*registry.Registry) error) error {
			t.Error("the store was asked")
			return nil
		},
	}
	api := New([]string{"api", "packages"}, []string{"api", "v1"}, Options{Releases: true})
	for _, path := range []string{"", "?q=x", "?type=npm", "/generic/p", "/npm/p", "/generic/p/-/latest", "/generic/p/1", "/generic/p/1/files", "/generic/p/-", "/generic/p/-/link/r", "/x"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost, http.MethodHead} {
			t.Run(method+" "+path, func(t *testing.T) {
				r := httptest.NewRequest(method, "/api/v1/packages/private"+path, nil)
				wing, below := api.Find(visit.ParsePath(r.URL.EscapedPath()))
				if wing == nil {
					t.Fatal("no wing answers")
				}
				w := httptest.NewRecorder()
				site.Serve(w, r, below, wing)
				if w.Code != http.StatusUnauthorized && w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				if got := w.Header().Get("Content-Type"); got != mediaType {
					t.Errorf("got %s, want %s", got, mediaType)
				}
				if got := w.Header().Get("Cache-Control"); got != cacheControl {
					t.Errorf("Cache-Control is %q, want %q", got, cacheControl)
				}
			})
		}
	}
}
