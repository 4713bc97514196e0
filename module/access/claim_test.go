package access

import (
	"strings"
	"testing"
)

func TestCheckClaim(t *testing.T) {
	for _, test := range []struct {
		claim Claim
		key   string
		says  string
	}{
		{Claim{Placeholder: "{http.auth.user.roles}"}, "http.auth.user.roles", ""},
		{Claim{Placeholder: "{http.request.tls.client.subject}"}, "http.request.tls.client.subject", ""},
		{Claim{Placeholder: "{http.vars.user}", Trusted: true}, "http.vars.user", ""},
		{Claim{Placeholder: "{http.request.header.Remote-User}", Trusted: true}, "http.request.header.Remote-User", ""},
		{Claim{Placeholder: "{http.request.header.Remote-User}"}, "", "trusted"},
		{Claim{Placeholder: "{http.vars.user}"}, "", "trusted"},
		{Claim{Placeholder: "{http.regexp.usr.1}"}, "", "trusted"},
		{Claim{Placeholder: "{mapped}"}, "", "trusted"},
		{Claim{Placeholder: "{http.auth.candidate.id}"}, "", "trusted"},
		{Claim{Placeholder: "{http.auth.users.id}"}, "", "trusted"},
		{Claim{Placeholder: "{http.reverse_proxy.header.X-User}"}, "", "trusted"},
		{Claim{Placeholder: "{http.error.message}"}, "", "trusted"},
		{Claim{Placeholder: "{env.WHO}"}, "", "trusted"},
		{Claim{Placeholder: "{http.request.tls.client_certificate}"}, "", "trusted"},
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
