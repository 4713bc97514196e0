package grant

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

func TestExtentOfAScope(t *testing.T) {
	patterns := func(texts ...string) []naming.Pattern {
		parsed, err := naming.ParsePatterns(texts)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, test := range []struct {
		name  string
		scope Scope
		what  Action
		want  Extent
	}{
		{"no action", Scope{}, Read, ExtentNone},
		{"another action", Scope{Actions: []Action{Read}}, Write, ExtentNone},
		{"who may write may read", Scope{Actions: []Action{Write}}, Read, ExtentAll},
		{"another owner", Scope{Actions: []Action{Read}, Owners: patterns("bob")}, Read, ExtentNone},
		{"this owner", Scope{Actions: []Action{Read}, Owners: patterns("bob", "ALI*")}, Read, ExtentAll},
		{"some packages", Scope{Actions: []Action{Read}, Packages: patterns("t*")}, Read, ExtentSome},
		{"all packages by a star", Scope{Actions: []Action{Read}, Packages: patterns("t*", "*")}, Read, ExtentAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scope.Extent(test.what, "alice"); got != test.want {
				t.Errorf("the extent is %v, want %v", got, test.want)
			}
		})
	}
}
