package caddyfile

import "testing"

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     int
	}{
		{"", "", 0},
		{"", "root", 4},
		{"root", "", 4},
		{"root", "root", 0},
		{"roots", "root", 1},
		{"rot", "root", 1},
		{"boot", "root", 1},
		{"roto", "root", 2},
		{"max-file-size", "max_file_size", 2},
		{"röot", "root", 1},
		{"kitten", "sitting", 3},
	} {
		if got := editDistance(test.from, test.to); got != test.want {
			t.Errorf("from %q to %q: %d, want %d", test.from, test.to, got, test.want)
		}
	}
}

func TestSuggestion(t *testing.T) {
	known := words{"read": nil, "root": nil, "road": nil, "max_file_size": nil}
	for name, test := range map[string]struct{ unknown, want string }{
		"one slip in a short word":    {"rootx", " (did you mean root?)"},
		"two slips in a short word":   {"rxxt", ""},
		"two slips in a long word":    {"max-file-size", " (did you mean max_file_size?)"},
		"three slips in a long word":  {"max.file.siz", ""},
		"other case":                  {"ROOT", " (did you mean root?)"},
		"two words are equally near":  {"roat", ""},
		"nothing like it":             {"quota", ""},
		"the nearest of several wins": {"rea", " (did you mean read?)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := suggestion(test.unknown, known); got != test.want {
				t.Errorf("suggestion for %q is %q, want %q", test.unknown, got, test.want)
			}
		})
	}
}
