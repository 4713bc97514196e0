package visit

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// TestMay: who may do what, by their name or their token, and what they hear.
func TestMay(t *testing.T) {
	reading := &grant.Token{Name: "ci", User: "team", Scope: grant.Scope{Actions: []grant.Action{grant.Read}}}
	for _, test := range []struct {
		name, user string
		token      *grant.Token
		fault      error
		origin     string
		what       grant.Action
		owner      string
		want       error
	}{
		{name: "anybody reads what is public", what: grant.Read, owner: "team"},
		{name: "nobody reads what is private", what: grant.Read, owner: "secret", want: ErrUnauthenticated},
		{name: "a user hears nothing of what is private", user: "team", what: grant.Read, owner: "secret", want: store.ErrPackageNotFound},
		{name: "its owner reads what is private", user: "Secret", what: grant.Read, owner: "secret"},
		{name: "nobody writes", what: grant.Write, owner: "team", want: ErrUnauthenticated},
		{name: "an owner writes", user: "team", what: grant.Write, owner: "team"},
		{name: "a user does not write what is another's", user: "x", what: grant.Write, owner: "team", want: ErrForbidden},
		{name: "a token reads within its scope", token: reading, what: grant.Read, owner: "team"},
		{name: "a token does not write beyond its scope", token: reading, what: grant.Write, owner: "team", want: ErrScope},
		{name: "a page of another site reads", user: "team", origin: "https://evil.example", what: grant.Read, owner: "team"},
		{name: "a page of another site does not delete", user: "team", origin: "https://evil.example", what: grant.Delete, owner: "team", want: ErrCrossSite},
		{name: "a token that cannot be looked up", fault: errors.New("away"), what: grant.Read, owner: "team", want: store.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			site, _ := newSite(t)
			var err error
			site.Rules, err = access.Compile([]access.OwnerRule{{Owner: "secret", Permissions: access.Permissions{Read: []string{"@owner"}}}}, nil, access.Republishing{})
			if err != nil {
				t.Fatal(err)
			}
			r := requestOf(test.user, http.MethodPost, "https://registry.example/", nil)
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			if test.token != nil {
				SetToken(r, site.Registry, test.token)
			}
			if test.fault != nil {
				SetFault(r, site.Registry, test.fault)
			}
			site.Serve(httptest.NewRecorder(), r, Path{}, wing(func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
				if err := v.May(test.what, test.owner, "p"); !errors.Is(err, test.want) {
					t.Errorf("error is %v, want %v", err, test.want)
				}
				if got, want := v.Can(test.what, test.owner, "p"), test.want == nil || test.want == ErrCrossSite; got != want {
					t.Errorf("in lists: %v, want %v", got, want)
				}
				if selected, err := v.Selection(); err == nil && test.what == grant.Read && selected.None(test.owner) == (test.want == nil) {
					t.Errorf("lists leave all of the owner out: %v, want %v", selected.None(test.owner), test.want != nil)
				}
				return nil
			}))
		})
	}
}
