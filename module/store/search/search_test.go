package search

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSearchOfNames(t *testing.T) {
	for _, test := range []struct {
		search, name string
		want         bool
	}{
		{"", "anything", true},
		{"ipk", "apipkg", true},
		{"API", "apipkg", true},
		{"apipkg", "APIPKG", true},
		{"apikg", "apipkg", false},
		{"a_ipkg", "apipkg", true},
		{"a_pkg", "apipkg", false},
		{"%", "apipkg", true},
		{"a%g", "apipkg", true},
		{"g%a", "apipkg", false},
		{"_______", "apipkg", false},
		{"______", "apipkg", true},
		{"pp%p", "app", false},
		{"*", "apipkg", false},
		{`\_`, "a_b", false},
	} {
		if got := Matches(test.search, test.name); got != test.want {
			t.Errorf("%q in %q: %v, want %v", test.search, test.name, got, test.want)
		}
	}
}

// The search agrees with a regular expression that says the same. Seen to fail without
// leaving out what a part before matched.
func TestSearchIsLikeAnExpression(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		search := rapid.StringMatching(`[abB_%.]{0,6}`).Draw(rt, "search")
		name := rapid.StringMatching(`[abA.]{1,8}`).Draw(rt, "name")
		expression := strings.NewReplacer("_", ".", "%", ".*").Replace(regexp.QuoteMeta(search))
		want := regexp.MustCompile("(?is)" + expression).MatchString(name)
		if got := Matches(search, name); got != want {
			rt.Fatalf("%q in %q: %v, want %v", search, name, got, want)
		}
	})
}
