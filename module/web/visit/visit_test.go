package visit

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestMay: who may do what, by their name or their token, and what they hear.
func TestMay(t *testing.T) {
	reading := &store.Token{Name: "ci", User: "team", Scope: store.Scope{Actions: []store.Action{store.ActionRead}}}
	for _, test := range []struct {
		name, user string
		token      *store.Token
		fault      error
		origin     string
		what       store.Action
		owner      string
		want       error
	}{
		{name: "anybody reads what is public", what: store.ActionRead, owner: "team"},
		{name: "nobody reads what is private", what: store.ActionRead, owner: "secret", want: ErrUnauthenticated},
		{name: "a user hears nothing of what is private", user: "team", what: store.ActionRead, owner: "secret", want: store.ErrPackageNotFound},
		{name: "its owner reads what is private", user: "Secret", what: store.ActionRead, owner: "secret"},
		{name: "nobody writes", what: store.ActionWrite, owner: "team", want: ErrUnauthenticated},
		{name: "an owner writes", user: "team", what: store.ActionWrite, owner: "team"},
		{name: "a user does not write what is another's", user: "x", what: store.ActionWrite, owner: "team", want: ErrForbidden},
		{name: "a token reads within its scope", token: reading, what: store.ActionRead, owner: "team"},
		{name: "a token does not write beyond its scope", token: reading, what: store.ActionWrite, owner: "team", want: ErrScope},
		{name: "a page of another site reads", user: "team", origin: "https://evil.example", what: store.ActionRead, owner: "team"},
		{name: "a page of another site does not delete", user: "team", origin: "https://evil.example", what: store.ActionDelete, owner: "team", want: ErrCrossSite},
		{name: "a token that cannot be looked up", fault: errors.New("away"), what: store.ActionRead, owner: "team", want: store.ErrUnavailable},
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
				SetToken(r, test.token)
			}
			if test.fault != nil {
				SetFault(r, test.fault)
			}
			site.Serve(httptest.NewRecorder(), r, Path{}, wing(func(_ http.ResponseWriter, _ *http.Request, v *Visit) error {
				if err := v.May(test.what, test.owner, "p"); !errors.Is(err, test.want) {
					t.Errorf("error is %v, want %v", err, test.want)
				}
				if got, want := v.Can(test.what, test.owner, "p"), test.want == nil || test.want == ErrCrossSite; got != want {
					t.Errorf("in lists: %v, want %v", got, want)
				}
				return nil
			}))
		})
	}
}
