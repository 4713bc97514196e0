package access

import (
	"slices"
	"testing"
)

func TestSplitGroups(t *testing.T) {
	for _, test := range []struct {
		name         string
		value        any
		want, spaced []string // of any placeholder, and of an authentication handler's
	}{
		{"nothing", nil, nil, nil},
		{"a number", 7, nil, nil},
		{"an empty text", "", nil, nil},
		{"one name", "admins", []string{"admins"}, []string{"admins"}},
		{"commas", "admins,dev", []string{"admins", "dev"}, []string{"admins", "dev"}},
		{"commas with spaces around", " admins, dev ,, ops ", []string{"admins", "dev", "ops"}, []string{"admins", "dev", "ops"}},
		{"spaces in names between commas", "not developers, Domain Admins", []string{"not developers", "Domain Admins"}, []string{"not developers", "Domain Admins"}},
		{"a name with a space", "Domain Admins", []string{"Domain Admins"}, []string{"Domain", "Admins"}},
		{"a name with a space and a comma after it", "Domain Admins,", []string{"Domain Admins"}, []string{"Domain Admins"}},
		{"white space alone", "admins dev\tops", []string{"admins dev\tops"}, []string{"admins", "dev", "ops"}},
		{"an escaped comma", `CN=x\,OU=admins,OU=dev`, []string{`CN=x\,OU=admins`, "OU=dev"}, []string{`CN=x\,OU=admins`, "OU=dev"}},
		{"an escaped backslash", `CN=x\\,OU=dev`, []string{`CN=x\\`, "OU=dev"}, []string{`CN=x\\`, "OU=dev"}},
		{"a list", []string{"a b", "c"}, []string{"a b", "c"}, []string{"a b", "c"}},
		{"a list of anything", []any{"a", 1}, []string{"a", "1"}, []string{"a", "1"}},
		{"the Kelvin sign for a k", "dev,\u212Aim", []string{"dev"}, []string{"dev"}},
		{"the Kelvin sign in a list", []string{"\u212Aim", "ünique"}, []string{"ünique"}, []string{"ünique"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := splitGroups(test.value, false); !slices.Equal(got, test.want) {
				t.Errorf("%#v: %q, want %q", test.value, got, test.want)
			}
			if got := splitGroups(test.value, true); !slices.Equal(got, test.spaced) {
				t.Errorf("%#v of an authentication handler: %q, want %q", test.value, got, test.spaced)
			}
		})
	}
}
