package visit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// wing is a wing of one function.
type wing func(w http.ResponseWriter, r *http.Request, v *Visit) error

func (f wing) Serve(w http.ResponseWriter, r *http.Request, v *Visit) error { return f(w, r, v) }

// newSite is a site without rules, and what it logs.
func newSite(t *testing.T) (*Site, *observer.ObservedLogs) {
	t.Helper()
	rules, err := access.Compile(nil, nil, access.Republishing{})
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zapcore.InfoLevel)
	return &Site{
		Prefix: []string{"api", "packages"}, Rules: rules, CrossSite: http.NewCrossOriginProtection(),
		Log: zap.New(core), Audit: zap.New(core).Named("audit"),
		Use: func(_ context.Context, do func(*registry.Registry) error) error { return do(nil) },
	}, logged
}

// requestOf is a request of a user as Caddy's server hands it on.
func requestOf(user, method, path string, vars map[string]any) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	replacer := caddy.NewReplacer()
	replacer.Set(access.UserPlaceholder, user)
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, replacer)
	if vars == nil {
		vars = make(map[string]any)
	}
	return r.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, vars))
}

// TestErrorsOfAWing: each is answered with its status, in the wing's form, and with no
// header line of the answer that was given up.
// Seen to fail without Restart.
func TestErrorsOfAWing(t *testing.T) {
	for _, test := range []struct {
		name    string
		err     error
		status  int
		text    string
		header  string
		value   string
		isError bool // is logged
	}{
		{"a refusal", Refuse(http.StatusTeapot, "short and stout"), 418, "short and stout\n", "", "", false},
		{"a refusal that says more", Tell(ErrForbidden, "user %s may not", "x"), 403, "user x may not\n", "", "", false},
		{"a method", MethodNotAllowed("GET"), 405, "method not allowed\n", "Allow", "GET", false},
		{"nobody", ErrUnauthenticated, 401, "authentication required\n", "WWW-Authenticate", Challenge, false},
		{"an error of the domain", fmt.Errorf("looking: %w", store.ErrFileNotFound), 404, "package file does not exist", "", "", false},
		{"a registry that is away", store.ErrUnavailable, 503, "registry is not available, try again later\n", "Retry-After", "2", true},
		{"anything else", errors.New("/secret/path"), 500, "internal server error", "", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			site, logged := newSite(t)
			w := httptest.NewRecorder()
			w.Header().Set("Server", "Caddy")
			site.Serve(w, requestOf("", http.MethodGet, "/", nil), Path{}, wing(func(w http.ResponseWriter, _ *http.Request, _ *Visit) error {
				w.Header().Set("ETag", "x")
				w.Header().Set("Server", "wing")
				return test.err
			}))
			if w.Code != test.status || w.Body.String() != test.text || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("got %d %q %v, want %d %q", w.Code, w.Body, w.Header(), test.status, test.text)
			}
			if got := w.Header().Get(test.header); got != test.value {
				t.Errorf("%s is %q, want %q", test.header, got, test.value)
			}
			if w.Header().Get("ETag") != "" || w.Header().Get("Server") != "Caddy" {
				t.Errorf("the wing's header lines are left: %v", w.Header())
			}
			if got := logged.Len() > 0; got != test.isError {
				t.Errorf("logged: %v, want %v", logged.All(), test.isError)
			}
		})
	}
}

// TestAWingWordsItsErrors: and those of its paths too, which it asks for after that.
func TestAWingWordsItsErrors(t *testing.T) {
	site, _ := newSite(t)
	w := httptest.NewRecorder()
	path, _ := ParsePath("/api/packages/%zz").Under(site.Prefix)
	site.Serve(w, requestOf("", http.MethodGet, "/", nil), path, wing(func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
		v.Form = func(status int, text string) (string, string) {
			return "text/x", fmt.Sprint(status, " ", len(text) > 0)
		}
		_, err := v.Segments()
		return err
	}))
	if w.Code != http.StatusBadRequest || w.Header().Get("Content-Type") != "text/x" || w.Body.String() != "400 true" {
		t.Errorf("got %d %q %q", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
}

// TestAnAnswerThatIsBrokenOff ends the connection and is logged.
func TestAnAnswerThatIsBrokenOff(t *testing.T) {
	site, logged := newSite(t)
	w := httptest.NewRecorder()
	defer func() {
		if panicked := recover(); panicked != http.ErrAbortHandler || logged.FilterLevelExact(zapcore.ErrorLevel).Len() != 1 || w.Body.String() != "begun" {
			t.Errorf("panicked with %v, logged %v, sent %q", panicked, logged.All(), w.Body)
		}
	}()
	site.Serve(w, requestOf("", http.MethodGet, "/", nil), Path{}, wing(func(w http.ResponseWriter, _ *http.Request, _ *Visit) error {
		_, _ = w.Write([]byte("begun"))
		return fmt.Errorf("sending: %w", &BrokenOff{errors.New("input/output error")})
	}))
}

// TestAnAnswerThatIsBrokenOffIsNothingElse: who looks elsewhere for what is not there does not
// answer again after the beginning of an answer.
func TestAnAnswerThatIsBrokenOffIsNothingElse(t *testing.T) {
	if err := fmt.Errorf("sending: %w", &BrokenOff{store.ErrPackageNotFound}); errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("%v counts as one of a version that is not there", err)
	}
}

// TestAClientThatStopsIsNoError: what fails because nobody wants the answer any more is not
// logged, and anything else still is.
//
// Seen to fail without the look at the context, and without the one at the error.
func TestAClientThatStopsIsNoError(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		logs int
	}{
		{"an answer that is broken off by the client", &BrokenOff{fmt.Errorf("opening blob: %w", context.Canceled)}, 0},
		{"a refusal that nobody hears", fmt.Errorf("asking: %w", context.Canceled), 0},
		{"damage that is found when the client is gone", &BrokenOff{store.ErrDamaged}, 1},
		{"a fault when the client is gone", errors.New("input/output error"), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			site, logged := newSite(t)
			defer func() {
				_ = recover()
				if got := logged.FilterMessage("request failed").Len(); got != test.logs {
					t.Errorf("logged %v, want %d", logged.All(), test.logs)
				}
			}()
			r := requestOf("", http.MethodGet, "/", nil)
			r.ProtoMajor = 2
			ctx, stop := context.WithCancel(r.Context())
			site.Serve(httptest.NewRecorder(), r.WithContext(ctx), Path{}, wing(func(http.ResponseWriter, *http.Request, *Visit) error {
				stop()
				return test.err
			}))
		})
	}
}

// TestChangesAreAudited: one line for each, whether it was allowed or not, and none for
// reading.
func TestChangesAreAudited(t *testing.T) {
	for _, test := range []struct {
		name, user, method string
		serve              wing
		want               string // of the line
		action             grant.Action
		status             int64
	}{
		{"a download", "o", http.MethodGet, func(http.ResponseWriter, *http.Request, *Visit) error { return nil }, "", "", 0},
		{"a path that names nothing", "o", http.MethodPut, func(http.ResponseWriter, *http.Request, *Visit) error { return store.ErrUnsafePath }, "refused", grant.Write, 400},
		{"a publish", "o", http.MethodPut, func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
			v.Found(store.File{})
			return v.May(grant.Write, "o", "p")
		}, "changed", grant.Write, 201},
		{"a change by another method", "o", http.MethodPost, func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
			return v.May(grant.Delete, "o", "p")
		}, "changed", grant.Delete, 204},
		{"somebody else's", "x", http.MethodDelete, func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
			return v.May(grant.Delete, "o", "p")
		}, "refused", grant.Delete, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			site, logged := newSite(t)
			site.Serve(httptest.NewRecorder(), requestOf(test.user, test.method, "/", nil), Path{}, test.serve)
			if test.want == "" {
				if logged.Len() > 0 {
					t.Errorf("logged %v, want nothing", logged.All())
				}
				return
			}
			lines := logged.FilterLoggerName("audit").All()
			if len(lines) != 1 || lines[0].Message != test.want || lines[0].ContextMap()["action"] != string(test.action) || lines[0].ContextMap()["status"] != test.status {
				t.Errorf("logged %+v, want one %s of %s with %d", lines, test.want, test.action, test.status)
			}
		})
	}
}

// TestARegistryThatIsNotOpen is 503, and 507 to an upload for which there is no room.
func TestARegistryThatIsNotOpen(t *testing.T) {
	for _, test := range []struct {
		method string
		what   grant.Action
		why    error
		want   int
	}{
		{http.MethodPut, grant.Write, store.ErrNoSpace, http.StatusInsufficientStorage},
		{http.MethodPut, grant.Write, store.ErrDamaged, http.StatusServiceUnavailable},
		{http.MethodGet, grant.Read, store.ErrNoSpace, http.StatusServiceUnavailable},
		{http.MethodDelete, grant.Delete, store.ErrNoSpace, http.StatusServiceUnavailable},
	} {
		site, _ := newSite(t)
		site.Use = func(context.Context, func(*registry.Registry) error) error { return &pool.NotOpen{Why: test.why} }
		w := httptest.NewRecorder()
		site.Serve(w, requestOf("o", test.method, "/", nil), Path{}, wing(func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
			if err := v.May(test.what, "o", "p"); err != nil {
				return err
			}
			return v.Use(func(*registry.Registry) error { return nil })
		}))
		if w.Code != test.want || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s, %v: got %d %v, want %d with Retry-After", test.method, test.why, w.Code, w.Header(), test.want)
		}
	}
}

// TestURL: scheme and host are those of the request, and what a proxy says counts where
// Caddy trusts it.
func TestURL(t *testing.T) {
	for _, test := range []struct {
		name, url, original string
		forwarded           [2]string // proto, host
		trusted             bool
		want                string
	}{
		{name: "plain", url: "http://host:81/api/packages/o", want: "http://host:81/api/packages/o/a%2Fb"},
		{name: "TLS", url: "https://host/api/packages/o", want: "https://host/api/packages/o/a%2Fb"},
		{name: "a proxy", url: "http://inner/api/packages/o", forwarded: [2]string{"https", "Outer"}, trusted: true, want: "https://outer/api/packages/o/a%2Fb"},
		{name: "several proxies", url: "http://inner/api/packages/o", forwarded: [2]string{"https, http", "outer, middle"}, trusted: true, want: "https://outer/api/packages/o/a%2Fb"},
		{name: "a proxy that is not trusted", url: "http://inner/api/packages/o", forwarded: [2]string{"https", "outer"}, want: "http://inner/api/packages/o/a%2Fb"},
		{name: "a proxy that says nonsense", url: "http://inner/api/packages/o", forwarded: [2]string{"javascript", "a/b@c"}, trusted: true, want: "http://inner/api/packages/o/a%2Fb"},
		{name: "a stripped prefix", url: "http://host/api/packages/o", original: "/artifacts/api/packages/o", want: "http://host/artifacts/api/packages/o/a%2Fb"},
		{name: "another rewrite", url: "http://host/api/packages/o", original: "/downloads", want: "http://host/api/packages/o/a%2Fb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			site, _ := newSite(t)
			r := requestOf("", http.MethodGet, test.url, map[string]any{caddyhttp.TrustedProxyVarKey: test.trusted})
			for i, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
				if test.forwarded[i] != "" {
					r.Header.Set(name, test.forwarded[i])
				}
			}
			if test.original != "" {
				original := *httptest.NewRequest(http.MethodGet, test.original, nil)
				r = r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
			}
			var got string
			site.Serve(httptest.NewRecorder(), r, Path{}, wing(func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
				got = v.URL("o", "a/b")
				return nil
			}))
			if got != test.want || strings.HasSuffix(got, "/") {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
