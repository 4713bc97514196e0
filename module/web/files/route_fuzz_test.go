package files

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// FuzzRouteGuards: a path that is accepted is about just that owner and package
// which Caddy's own path matcher sees in it, so that no guard in front of the
// registry can be passed by, and none opens more than it names.
func FuzzRouteGuards(f *testing.F) {
	for _, path := range []string{
		"/api/packages/o/generic/p/1/f", "/api/packages/o/../x/generic/p/1/f", "/api/packages/o/generic/p/1%2F..%2Fx/f", "/api/packages/o/generic/p/1",
		"/api/packages/%2e%2e/generic/p/1/f", "//api//packages//o/generic/p/%252e%252e/f/", "/api/packages/O/generic/P/1//f", "/%61pi/packages/%6F/generic/p/1/f",
		"/api/packages/a%5Cb/generic/p/1/f", "/api/packages/%C3%89/generic/p/a%2Fb/f", "/api/packages/\u00e9/generic/p/1/f", "/api/packages/%E2%84%AAim/generic/p/1/f",
		"/api/packages/a%2Ab/generic/p/1/f", "/api/packages/a%3Fb/generic/p/1/f", "/api/packages/a[b]/generic/p/1/f?x=1", "/api/packages/100%25/generic/p/1/f",
		"/api/packages/o;x/generic/p/1/f", "http://host/api/packages/o/generic/p/1/f", "/api/packages/o.../generic/../p/1/f", "/api/packages/o%20/generic/p/1/f",
		"/api/packages/o/generic/p/%2F%2Fx%2F/f", "/api/packages/o/generic/p/1%2F..%2F..%2F..%2F..%2Fpublic/f", "/api/packages/o/generic/p%2F../1/f", "/api/packages/o/generic/../b",
		"/api/packages/a+b/generic/p/1/f", "/api/packages/public%2F..%2Fo/generic/p/1/f", "/api/packages/o/./generic/p/1/f", "/api/packages/%C4%B0/generic/p/1/f",
	} {
		for _, guarded := range []string{"o", "O", "kim", "public", "\u00c9", "a?b", "a[b]", "a b", "i"} {
			f.Add(path, guarded)
		}
	}
	f.Fuzz(func(t *testing.T, path, guarded string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + path + " HTTP/1.1\r\nHost: host\r\n\r\n")))
		if err != nil {
			return
		}
		below, inside := visit.ParsePath(r.URL.EscapedPath()).Under([]string{"api", "packages"})
		if !inside {
			return
		}
		ref, err := ParseRoute(below)
		if err != nil {
			return
		}
		r = r.WithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
		// The cleaned path is what every pattern is compared with.
		seen := strings.Split(caddyhttp.CleanPath(strings.ToLower(r.URL.Path), true), "/")
		if len(seen) < 6 || seen[3] != store.Fold(ref.Owner) {
			t.Fatalf("the registry's owner is %q, in %q", ref.Owner, seen)
		}
		wantMatch(t, r, ref.Owner, true)
		wantMatch(t, r, guarded, store.Fold(guarded) == store.Fold(ref.Owner))
		if strings.Contains(ref.Package, "/") {
			return // cannot be published
		}
		wantMatch(t, r, ref.Owner+"/generic/"+ref.Package, true)
	})
}

// wantMatch asks Caddy's path matcher about everything below a path under the
// prefix. Names with characters that have a meaning in its patterns cannot be
// written there.
func wantMatch(t *testing.T, r *http.Request, below string, want bool) {
	t.Helper()
	if owner, _, _ := strings.Cut(below, "/"); strings.ContainsAny(below, "*%{") || naming.CheckOwner(owner) != nil {
		return
	}
	matcher := caddyhttp.MatchPath{"/api/packages/" + below + "/*"}
	if err := matcher.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	got, err := matcher.MatchWithError(r)
	if err != nil || got != want {
		t.Errorf("%s matches %s: %v, want %v: %v", matcher, r.URL.EscapedPath(), got, want, err)
	}
}
