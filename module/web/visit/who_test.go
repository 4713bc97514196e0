package visit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

func TestIdentify(t *testing.T) {
	token := &grant.Token{Name: "deploy", User: "ci"}
	here, elsewhere := pool.Key{Metadata: "here"}, pool.Key{Metadata: "elsewhere"}
	vars := func(left any) map[string]any { return map[string]any{credentialsVariable: left} }
	for _, test := range []struct {
		name  string
		set   map[string]any
		vars  map[string]any
		user  string
		token *grant.Token
		fault bool
	}{
		{name: "nobody"},
		{name: "an authenticated user", set: map[string]any{access.UserPlaceholder: "alice"}, user: "alice"},
		{name: "the user of the claim", set: map[string]any{"claim.user": "bob"}, user: "bob"},
		{name: "an authenticated user comes first", set: map[string]any{access.UserPlaceholder: "alice", "claim.user": "bob"}, user: "alice"},
		{name: "an empty user is nobody", set: map[string]any{access.UserPlaceholder: ""}},
		{name: "a candidate is nobody", set: map[string]any{"http.auth.candidate.id": "alice"}},
		{name: "a template is not expanded", set: map[string]any{access.UserPlaceholder: "{claim.user}", "claim.user": "bob"}, user: "{claim.user}"},
		{name: "a name too long to keep is nobody", set: map[string]any{"claim.user": strings.Repeat("x", 256)}},
		{name: "a name with a control character is nobody", set: map[string]any{"claim.user": "a\nb"}},
		{name: "bytes that are no text are nobody", set: map[string]any{"claim.user": "\xff"}},
		{name: "a name of which folding makes another's", set: map[string]any{access.UserPlaceholder: "\u212Aim"}},
		{name: "the same in a claim", set: map[string]any{"claim.user": "K\u0130m"}},
		{name: "other letters beyond ASCII", set: map[string]any{"claim.user": "Ünï"}, user: "Ünï"},
		{name: "a token", set: map[string]any{access.UserPlaceholder: ""}, vars: vars(&credentials{registry: here, token: token}), user: "ci", token: token},
		{name: "a variable that somebody else set", vars: vars("ci")},
		{name: "a token of another registry", set: map[string]any{access.UserPlaceholder: ""}, vars: vars(&credentials{registry: elsewhere, token: token})},
		{name: "a token of another registry, which has named its user", set: map[string]any{access.UserPlaceholder: "ci"}, vars: vars(&credentials{registry: elsewhere, token: token, named: true})},
		{name: "a user who was named beside a token of another registry", set: map[string]any{access.UserPlaceholder: "ci"}, vars: vars(&credentials{registry: elsewhere, token: token}), user: "ci"},
		{name: "another user, after another registry has named that of its token", set: map[string]any{access.UserPlaceholder: "alice"}, vars: vars(&credentials{registry: elsewhere, token: token, named: true}), user: "alice"},
		{name: "a token of another registry that could not be looked up", vars: vars(&credentials{registry: elsewhere, fault: store.ErrUnavailable})},
		{name: "a password that could not be checked", vars: vars(&credentials{fault: store.ErrUnavailable}), fault: true},
		{name: "a token that could not be looked up", vars: vars(&credentials{registry: here, fault: store.ErrUnavailable}), fault: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			replacer := caddy.NewReplacer()
			for key, value := range test.set {
				replacer.Set(key, value)
			}
			if test.vars == nil {
				test.vars = make(map[string]any)
			}
			ctx := context.WithValue(t.Context(), caddy.ReplacerCtxKey, replacer)
			ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, test.vars)
			who := (&Site{Registry: here, UserKey: "claim.user", Log: zap.NewNop()}).identify(httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
			if who.user != test.user || who.token != test.token || (who.fault != nil) != test.fault {
				t.Errorf("identity is %+v", who)
			}
			if seen, _ := replacer.GetString(access.UserPlaceholder); test.token != nil && seen != test.user {
				t.Errorf("%s is %q", access.UserPlaceholder, seen)
			}
		})
	}
}

// TestCertificatesCountWhenVerified: Caddy fills their placeholders for any
// certificate.
func TestCertificatesCountWhenVerified(t *testing.T) {
	chains := [][]*x509.Certificate{{new(x509.Certificate)}}
	s := &Site{UserKey: "http.request.tls.client.subject", GroupsKey: "http.request.tls.client.san.dns_names.0", Log: zap.NewNop()}
	for name, test := range map[string]struct {
		state *tls.ConnectionState
		user  string
	}{
		"no TLS":                     {nil, ""},
		"a certificate":              {&tls.ConnectionState{PeerCertificates: chains[0]}, ""},
		"a certificate and no chain": {&tls.ConnectionState{PeerCertificates: chains[0], VerifiedChains: [][]*x509.Certificate{}}, ""},
		"a verified certificate":     {&tls.ConnectionState{PeerCertificates: chains[0], VerifiedChains: chains}, "CN=ci"},
	} {
		t.Run(name, func(t *testing.T) {
			replacer := caddy.NewReplacer()
			replacer.Set(s.UserKey, "CN=ci")
			replacer.Set(s.GroupsKey, "developers")
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.TLS = test.state
			who := s.identify(r.WithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, replacer)))
			if who.user != test.user || (len(who.Groups()) > 0) != (test.user != "") {
				t.Errorf("user %q, groups %q; want user %q", who.user, who.Groups(), test.user)
			}
		})
	}
}
