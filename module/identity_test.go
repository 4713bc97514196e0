package module

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func TestCheckClaim(t *testing.T) {
	for _, test := range []struct {
		claim Claim
		key   string
		says  string
	}{
		{Claim{Placeholder: "{http.auth.user.roles}"}, "http.auth.user.roles", ""},
		{Claim{Placeholder: "{http.request.tls.client.subject}"}, "http.request.tls.client.subject", ""},
		{Claim{Placeholder: "{http.vars.user}"}, "http.vars.user", ""},
		{Claim{Placeholder: "{http.request.header.Remote-User}", Trusted: true}, "http.request.header.Remote-User", ""},
		{Claim{Placeholder: "{http.request.header.Remote-User}"}, "", "trusted"},
		{Claim{Placeholder: "{http.request.cookie.user}"}, "", "trusted"},
		{Claim{Placeholder: "{http.request.uri.query.user}"}, "", "trusted"},
		{Claim{Placeholder: "{http.request.tls.server_name}"}, "", "trusted"},
		{Claim{Placeholder: "alice"}, "", "not one placeholder"},
		{Claim{Placeholder: "{a}{b}"}, "", "not one placeholder"},
		{Claim{Placeholder: "x{a}"}, "", "not one placeholder"},
		{Claim{Placeholder: "{}"}, "", "not one placeholder"},
		{Claim{}, "", "not one placeholder"},
	} {
		key, err := CheckClaim(test.claim)
		if key != test.key || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %q, %v", test.claim, key, err)
		}
	}
}

func TestSplitGroups(t *testing.T) {
	for _, test := range []struct {
		value any
		want  []string
	}{
		{nil, nil},
		{7, nil},
		{"", nil},
		{"admins", []string{"admins"}},
		{"admins,dev", []string{"admins", "dev"}},
		{" admins, dev\tops ", []string{"admins", "dev", "ops"}},
		{`CN=x\,OU=admins,OU=dev`, []string{`CN=x\,OU=admins`, "OU=dev"}},
		{`CN=x\\,OU=dev`, []string{`CN=x\\`, "OU=dev"}},
		{[]string{"a b", "c"}, []string{"a b", "c"}},
		{[]any{"a", 1}, []string{"a", "1"}},
	} {
		if got := splitGroups(test.value); !slices.Equal(got, test.want) {
			t.Errorf("%#v: %q, want %q", test.value, got, test.want)
		}
	}
}

func TestIdentify(t *testing.T) {
	token := &registry.Token{Name: "ci"}
	for _, test := range []struct {
		name  string
		set   map[string]any
		vars  map[string]any
		user  string
		token *registry.Token
		fault bool
	}{
		{name: "nobody"},
		{name: "an authenticated user", set: map[string]any{userPlaceholder: "alice"}, user: "alice"},
		{name: "the user of the claim", set: map[string]any{"claim.user": "bob"}, user: "bob"},
		{name: "an authenticated user comes first", set: map[string]any{userPlaceholder: "alice", "claim.user": "bob"}, user: "alice"},
		{name: "an empty user is nobody", set: map[string]any{userPlaceholder: ""}},
		{name: "a candidate is nobody", set: map[string]any{"http.auth.candidate.id": "alice"}},
		{name: "a template is not expanded", set: map[string]any{userPlaceholder: "{claim.user}", "claim.user": "bob"}, user: "{claim.user}"},
		{name: "a name too long to keep is nobody", set: map[string]any{"claim.user": strings.Repeat("x", 256)}},
		{name: "a name with a control character is nobody", set: map[string]any{"claim.user": "a\nb"}},
		{name: "bytes that are no text are nobody", set: map[string]any{"claim.user": "\xff"}},
		{name: "a token", set: map[string]any{userPlaceholder: "ci"}, vars: map[string]any{tokenVariable: token}, user: "ci", token: token},
		{name: "a variable that somebody else set", vars: map[string]any{tokenVariable: "ci"}},
		{name: "a token that could not be looked up", vars: map[string]any{tokenVariable: registry.ErrUnavailable}, fault: true},
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
			who := (&Handler{userKey: "claim.user"}).identify(httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
			if who.user != test.user || who.token != test.token || (who.fault != nil) != test.fault {
				t.Errorf("identity is %+v", who)
			}
		})
	}
}
