package store

import "testing"

func TestExtentOfAScope(t *testing.T) {
	patterns := func(texts ...string) []Pattern {
		parsed, err := ParsePatterns(texts)
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
		{"no action", Scope{}, ActionRead, ExtentNone},
		{"another action", Scope{Actions: []Action{ActionRead}}, ActionWrite, ExtentNone},
		{"who may write may read", Scope{Actions: []Action{ActionWrite}}, ActionRead, ExtentAll},
		{"another owner", Scope{Actions: []Action{ActionRead}, Owners: patterns("bob")}, ActionRead, ExtentNone},
		{"this owner", Scope{Actions: []Action{ActionRead}, Owners: patterns("bob", "ALI*")}, ActionRead, ExtentAll},
		{"some packages", Scope{Actions: []Action{ActionRead}, Packages: patterns("t*")}, ActionRead, ExtentSome},
		{"all packages by a star", Scope{Actions: []Action{ActionRead}, Packages: patterns("t*", "*")}, ActionRead, ExtentAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scope.Extent(test.what, "alice"); got != test.want {
				t.Errorf("the extent is %v, want %v", got, test.want)
			}
		})
	}
}
