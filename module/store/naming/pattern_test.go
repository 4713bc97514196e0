package naming

import (
	"testing"
)

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"tool", "tool", true},
		{"Tool", "tOOL", true},
		{"tool", "tools", false},
		{"tool-*", "tool-", true},
		{"tool-*", "TOOL-1.2", true},
		{"*", "", true},
		{"*", "a/b", true},
		{"a*d", "a/b/d", true},
		{"a/b", "a/b", true},
		{"?", "é", true},
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{`\*`, "*", true},
		{`\*`, "x", false},
		{"K", "\u212A", true}, // the Kelvin sign folds to k, as names do
	} {
		pattern, err := ParsePattern(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern.Matches(test.name); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.name, got)
		}
		if pattern.String() != test.pattern {
			t.Errorf("%q shows as %q", test.pattern, pattern)
		}
	}
	for _, malformed := range []string{"", "[", "a[", "[]", `\`, "x[b-"} {
		if _, err := ParsePattern(malformed); err == nil {
			t.Errorf("%q is accepted", malformed)
		}
	}
}

// FuzzPattern: a pattern that covers another matches whatever that matches, and
// one that is said to match nothing valid does not.
func FuzzPattern(f *testing.F) {
	f.Add("a*", "ab*", "abc")
	f.Add("*", "x/y", "x/y")
	f.Add("[a-z]?", "b?", "bc")
	f.Add(`\*`, "*", "*")
	f.Add("tool-*", "TOOL-x", "tool-X")
	f.Fuzz(func(t *testing.T, one, other, name string) {
		first, err := ParsePattern(one)
		if err != nil {
			return
		}
		if first.Matches(name) && !first.MatchesSome(ValidPackage) && ValidPackage(name) {
			t.Errorf("%q matches package %q, and is said to match none", one, name)
		}
		second, err := ParsePattern(other)
		if err != nil {
			return
		}
		if first.Covers(second) && second.Matches(name) && !first.Matches(name) {
			t.Errorf("%q covers %q, which matches %q", one, other, name)
		}
	})
}
