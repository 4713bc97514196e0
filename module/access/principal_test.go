package access

import (
	"strings"
	"testing"
)

func TestCheckPrincipalAndCheckUser(t *testing.T) {
	for _, test := range []struct {
		word            string
		principal, user bool
	}{
		{"alice", true, true},
		{"Alice Example", true, true},
		{"alice@example.com", true, true},
		{"user", true, true},
		{"users", false, false},
		{"Nobody", false, false},
		{"group:dev", false, false},
		{"public", false, false},
		{"publicist", true, true},
		{"alice,bob", false, false},
		{"CN=ci,O=Example", true, true},
		{"**", false, false},
		{"*", true, false},
		{"@users", true, false},
		{"@owner", true, false},
		{"@Owner", false, false},
		{"@everyone", false, false},
		{"@", false, false},
		{"", false, false},
	} {
		if err := CheckPrincipal(test.word); (err == nil) != test.principal {
			t.Errorf("principal %q: %v, want accepted %v", test.word, err, test.principal)
		}
		if err := CheckUser(test.word); (err == nil) != test.user {
			t.Errorf("user %q: %v, want accepted %v", test.word, err, test.user)
		}
	}
}

func TestCheckPrincipalSaysWhatMayBeWritten(t *testing.T) {
	for _, word := range []string{"", "@everyone"} {
		err := CheckPrincipal(word)
		if err == nil {
			t.Errorf("principal %q is accepted", word)
			continue
		}
		for _, known := range []string{"*", "@users", "@owner", "user name"} {
			if !strings.Contains(err.Error(), known) {
				t.Errorf("principal %q: %q does not name %s", word, err, known)
			}
		}
	}
}
