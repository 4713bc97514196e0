package visit

import (
	"strings"
	"testing"
)

func TestSearches(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		possible         bool
	}{
		{"nothing", " ", "", true},
		{"a name", " tool ", "tool", true},
		{"many wildcards are one", "a" + strings.Repeat("%", 100001) + "b", "a%b", true},
		{"all characters of the longest name", strings.Repeat("%a", 255) + "%", strings.Repeat("%a", 255) + "%", true},
		{"more characters than a name has", strings.Repeat("_", 512), strings.Repeat("_", 511), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, possible := Search(test.text); got != test.want || possible != test.possible {
				t.Errorf("got %.40q, %v, want %.40q, %v", got, possible, test.want, test.possible)
			}
		})
	}
}
