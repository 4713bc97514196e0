package naming

import (
	"errors"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestNames(t *testing.T) {
	long, longest := strings.Repeat("n", MaxLength+1), strings.Repeat("n", MaxLength)
	good := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: "1"}, File: "f"}
	with := func(change func(r *store.Ref)) store.Ref { r := good; change(&r); return r }
	pkg := func(name string) store.Ref { return with(func(r *store.Ref) { r.Package = name }) }
	version := func(name string) store.Ref { return with(func(r *store.Ref) { r.Version = name }) }
	file := func(name string) store.Ref { return with(func(r *store.Ref) { r.File = name }) }
	for _, test := range []struct {
		name              string
		ref               store.Ref
		documented, gitea error
	}{
		{"plain names", good, nil, nil},
		{"a package of a digit", pkg("7"), nil, nil},
		{"a package of every kind of character", pkg("aZ0-_+."), nil, nil},
		{"a package of dots", pkg("..."), nil, nil},
		{"a package that begins with a dot", pkg(".a"), nil, nil},
		{"a package of hyphens", pkg("--"), nil, nil},
		{"the longest package", pkg(longest), nil, nil},
		{"no package", pkg(""), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a package of one hyphen", pkg("-"), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a package of one dot", pkg("."), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a package of two dots", pkg(".."), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a package with a space", pkg("a b"), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a package with an accent", pkg("é"), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a package that is too long", pkg(long), store.ErrInvalidPackage, store.ErrInvalidPackage},
		{"a version with spaces inside", version("1 beta 2"), nil, nil},
		{"a version with a slash", version("1/2"), nil, nil},
		{"a version with quotes and Unicode", version(`"ü"` + "日本+%"), nil, nil},
		{"no version", version(""), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version of a space", version(" "), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version that ends with a no-break space", version("1\u00a0"), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version of dots", version(".."), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version with a dot element", version("1/./2"), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version with a backslash", version(`1\2`), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version with a line end", version("1\n2"), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a version that is too long", version(long), store.ErrInvalidVersion, store.ErrInvalidVersion},
		{"a file of one hyphen", file("-"), nil, nil},
		{"a file of an underscore", file("_"), nil, nil},
		{"a file of three dots", file("..."), nil, nil},
		{"the longest file", file(longest), nil, nil},
		{"no file", file(""), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file of a dot", file("."), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file of two dots", file(".."), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file with a slash", file("a/b"), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file with a backslash", file(`a\b`), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file with an accent", file("é"), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file that begins with a space", file(" a"), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file that is too long", file(long), store.ErrInvalidFile, store.ErrInvalidFile},
		{"a file with a space inside", file("a b"), store.ErrInvalidFile, nil},
		{"a file of what Gitea adds", file("=:;()[]{}~!@#$%^& x"), store.ErrInvalidFile, nil},
		{"a file with a comma", file("a,b"), store.ErrInvalidFile, store.ErrInvalidFile},
		{"package before version before file", store.Ref{}, store.ErrInvalidPackage, store.ErrInvalidPackage},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := Check(test.ref, Documented); !errors.Is(err, test.documented) {
				t.Errorf("documented: %v, want %v", err, test.documented)
			}
			if err := Check(test.ref, Gitea); !errors.Is(err, test.gitea) {
				t.Errorf("gitea: %v, want %v", err, test.gitea)
			}
		})
	}
}

func TestOwners(t *testing.T) {
	for name, valid := range map[string]bool{
		"alice": true, "Ünal": true, "a b": true, "a.b": true, "...": true, strings.Repeat("o", 255): true,
		"": false, " a": false, "a\u2003": false, "a/b": false, `a\b`: false, "a\x00": false, "a\u0085b": false,
		".": false, "..": false, "\xff": false, strings.Repeat("o", 256): false,
	} {
		if err := CheckOwner(name); (err == nil) != valid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzNames: a name that is accepted cannot be another path, and its key is
// accepted and its own key.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"a", "..", "a/../b", "1%2F2", "İ", "\u2028x", "a b", "\xff", "a\\b", "Kelvin \u212a"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, version, file string) {
		r := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: version}, File: file}
		if Check(r, Gitea) != nil {
			return
		}
		for _, name := range []string{version, file} {
			if CheckElement(name) != nil || strings.ContainsAny(name, "\\\x00\n") || strings.TrimSpace(name) != name {
				t.Fatalf("accepted %q", name)
			}
		}
		if strings.Contains(file, "/") {
			t.Fatalf("accepted file %q", file)
		}
		if key := r.Key(); key.Key() != key {
			t.Fatalf("the key of %q is %q, whose key is %q", r, key, key.Key())
		}
	})
}
