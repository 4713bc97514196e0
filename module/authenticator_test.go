package module

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/routes"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// newAuthenticator is one over a real store, with a user alice and the token of
// the returned text.
func newAuthenticator(t testing.TB) (authenticator *Authenticator, token string) {
	app := &App{log: zap.NewNop(), slog: slog.New(slog.DiscardHandler), uses: make(map[pool.Key]*use)}
	root := t.TempDir()
	metadata, blobs := new(badger.Backend), new(filesystem.Backend)
	ctx := caddyContext(t)
	for _, err := range []error{metadata.Provision(ctx), blobs.Provision(ctx)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := app.use(root, metadata, blobs, 0)
	if err != nil {
		t.Fatal(err)
	}
	app.expect(root)
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	nowhere := func() []routes.Place { return nil }
	authenticator = &Authenticator{Root: root, app: app, audit: zap.NewNop(), places: nowhere, Basic: &caddyauth.HTTPBasicAuth{
		HashRaw: json.RawMessage(`{"algorithm": "bcrypt"}`), HashCache: new(caddyauth.Cache),
		AccountList: []caddyauth.Account{{Username: "alice", Password: string(hash)}},
	}}
	if err := authenticator.provisionBasic(ctx); err != nil {
		t.Fatal(err)
	}
	err = pool.Registries.Use(t.Context(), key, func(reg *registry.Registry) (err error) {
		_, token, err = reg.CreateToken(t.Context(), grant.Token{
			Name: "ci", User: "ci", Scope: grant.Scope{Actions: []grant.Action{grant.Read}},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return authenticator, token
}

// keyOf is the registry of an authenticator's root.
func keyOf(a *Authenticator) pool.Key {
	key, _ := a.app.find(a.Root)
	return key
}

func caddyContext(t testing.TB) caddy.Context {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

func requestWith(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, make(map[string]any)))
}

func TestAuthenticateTellsUsersFromAnonymous(t *testing.T) {
	a, token := newAuthenticator(t)
	for _, test := range []struct {
		name          string
		authorization []string
		user          string
		good, scoped  bool
	}{
		{"nothing", nil, "", true, false},
		{"a token", []string{"Bearer " + token}, "", true, true},
		{"two tokens", []string{"Bearer " + token, "Bearer " + token}, "", false, false},
		{"a password", []string{"Basic YWxpY2U6c2VjcmV0"}, "alice", true, false},
		{"a wrong password", []string{"Basic YWxpY2U6d3Jvbmc="}, "", false, false},
		{"an empty header", []string{""}, "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, w := requestWith(test.authorization...), httptest.NewRecorder()
			user, good, err := a.Authenticate(w, r)
			if err != nil || good != test.good || user.ID != test.user {
				t.Errorf("user %q, %v, %v", user.ID, good, err)
			}
			if left, _ := visit.Token(r, keyOf(a)); (left != nil) != test.scoped {
				t.Errorf("the handler's token is %+v, want one: %v", left, test.scoped)
			}
			if (w.Header().Get("WWW-Authenticate") == "") != test.good {
				t.Errorf("challenge is %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// TestATokenOfAStoreThatIsAwayIsNotRefused: its bearer hears that the registry is
// not available, not that the token is bad.
func TestATokenOfAStoreThatIsAwayIsNotRefused(t *testing.T) {
	a, token := newAuthenticator(t)
	a.Root = "/elsewhere"
	r := requestWith("Bearer " + token)
	user, good, err := a.Authenticate(httptest.NewRecorder(), r)
	if err != nil || !good || user.ID != "" {
		t.Errorf("user %q, %v, %v", user.ID, good, err)
	}
	if left, fault := visit.Token(r, keyOf(a)); left != nil || fault == nil {
		t.Errorf("the handler's token is %+v, the fault %v; want a fault", left, fault)
	}
}

// TestCredentialsCanBeRequired: a site that serves other things too is closed to
// anonymous requests, and to tokens outside of the registry.
func TestCredentialsCanBeRequired(t *testing.T) {
	a, token := newAuthenticator(t)
	a.Require = true
	handlers := []caddyhttp.MiddlewareHandler{&caddyauth.Authentication{Providers: map[string]caddyauth.Authenticator{"generic_registry": a}}}
	for root, prefix := range map[string]string{a.Root: "/api/packages", "/elsewhere": "/other/packages"} {
		h := &Handler{Root: root, Prefix: prefix, Releases: root == a.Root, log: zap.NewNop()}
		if root != a.Root {
			h.API = "/other/v1"
		} else {
			h.Health, h.Browse = "/health", new(Browse)
		}
		if err := h.provisionSettings(); err != nil {
			t.Fatal(err)
		}
		handlers = append(handlers, h)
	}
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{{Handlers: handlers}}}
	a.places = func() []routes.Place { return routes.Places(server, a.isProviderOf) }
	const inside, outside = "/api/packages/team/generic/p/1/f", "/app"
	for _, test := range []struct {
		name, path    string
		authorization []string
		user          string
		good          bool
	}{
		{"nothing, in the registry", inside, nil, "", false},
		{"nothing, outside", outside, nil, "", false},
		{"a password, outside", outside, []string{"Basic YWxpY2U6c2VjcmV0"}, "alice", true},
		{"a token, in the registry", inside, []string{"Bearer " + token}, "", true},
		{"a token, outside", outside, []string{"Bearer " + token}, "", false},
		{"a token, in the JSON API", "/api/v1/packages/team", []string{"Bearer " + token}, "", true},
		{"a token, in the releases", "/api/v1/repos/team/p/releases", []string{"Bearer " + token}, "", true},
		{"a token, where the SDK of Gitea begins", "/api/v1/version", []string{"Bearer " + token}, "", true},
		{"a token, where it asks who it is", "/api/v1/user", []string{"Bearer " + token}, "", true},
		{"a token, where the health is", "/health/live", []string{"Bearer " + token}, "", true},
		{"a token, beside the health", "/health/dead", []string{"Bearer " + token}, "", false},
		{"a token, where Gitea has pages", "/team/-/packages", []string{"Bearer " + token}, "", true},
		{"a token, beside these", "/team/-/projects", []string{"Bearer " + token}, "", false},
		{"a token, beside the JSON API", "/api/v1/users", []string{"Bearer " + token}, "", false},
		{"a token, in the JSON API of another root", "/other/v1/packages/team", []string{"Bearer " + token}, "", false},
		{"a token, in a registry of another root", "/other/packages/team", []string{"Bearer " + token}, "", false},
		{"a token, beside the prefix", "/api/packagesx/team", []string{"Bearer " + token}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := requestWith(test.authorization...)
			r.URL.Path = test.path
			user, good, err := a.Authenticate(httptest.NewRecorder(), r)
			if err != nil || good != test.good || user.ID != test.user {
				t.Errorf("user %q, %v, %v, want %q, %v", user.ID, good, err, test.user, test.good)
			}
		})
	}
}

// BenchmarkAuthenticate is what a request pays for its credentials.
func BenchmarkAuthenticate(b *testing.B) {
	a, token := newAuthenticator(b)
	for _, bench := range []struct{ name, authorization string }{
		{"token", "Bearer " + token},
		{"cached password", "Basic YWxpY2U6c2VjcmV0"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r, w := requestWith(bench.authorization), httptest.NewRecorder()
			if _, good, err := a.Authenticate(w, r); err != nil || !good {
				b.Fatal(good, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = a.Authenticate(w, r)
			}
		})
	}
}
