package store

import (
	"errors"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	long, longest := strings.Repeat("n", MaxNameLength+1), strings.Repeat("n", MaxNameLength)
	good := Ref{VersionRef: VersionRef{Owner: "o", Package: "p", Version: "1"}, File: "f"}
	with := func(change func(r *Ref)) Ref { r := good; change(&r); return r }
	pkg := func(name string) Ref { return with(func(r *Ref) { r.Package = name }) }
	version := func(name string) Ref { return with(func(r *Ref) { r.Version = name }) }
	file := func(name string) Ref { return with(func(r *Ref) { r.File = name }) }
	for _, test := range []struct {
		name              string
		ref               Ref
		documented, gitea error
	}{
		{"plain names", good, nil, nil},
		{"a package of a digit", pkg("7"), nil, nil},
		{"a package of every kind of character", pkg("aZ0-_+."), nil, nil},
		{"a package of dots", pkg("..."), nil, nil},
		{"a package that begins with a dot", pkg(".a"), nil, nil},
		{"a package of hyphens", pkg("--"), nil, nil},
		{"the longest package", pkg(longest), nil, nil},
		{"no package", pkg(""), ErrInvalidPackage, ErrInvalidPackage},
		{"a package of one hyphen", pkg("-"), ErrInvalidPackage, ErrInvalidPackage},
		{"a package of one dot", pkg("."), ErrInvalidPackage, ErrInvalidPackage},
		{"a package of two dots", pkg(".."), ErrInvalidPackage, ErrInvalidPackage},
		{"a package with a space", pkg("a b"), ErrInvalidPackage, ErrInvalidPackage},
		{"a package with an accent", pkg("é"), ErrInvalidPackage, ErrInvalidPackage},
		{"a package that is too long", pkg(long), ErrInvalidPackage, ErrInvalidPackage},
		{"a version with spaces inside", version("1 beta 2"), nil, nil},
		{"a version with a slash", version("1/2"), nil, nil},
		{"a version with quotes and Unicode", version(`"ü"` + "日本+%"), nil, nil},
		{"no version", version(""), ErrInvalidVersion, ErrInvalidVersion},
		{"a version of a space", version(" "), ErrInvalidVersion, ErrInvalidVersion},
		{"a version that ends with a no-break space", version("1\u00a0"), ErrInvalidVersion, ErrInvalidVersion},
		{"a version of dots", version(".."), ErrInvalidVersion, ErrInvalidVersion},
		{"a version with a dot element", version("1/./2"), ErrInvalidVersion, ErrInvalidVersion},
		{"a version with a backslash", version(`1\2`), ErrInvalidVersion, ErrInvalidVersion},
		{"a version with a line end", version("1\n2"), ErrInvalidVersion, ErrInvalidVersion},
		{"a version that is too long", version(long), ErrInvalidVersion, ErrInvalidVersion},
		{"a file of one hyphen", file("-"), nil, nil},
		{"a file of an underscore", file("_"), nil, nil},
		{"a file of three dots", file("..."), nil, nil},
		{"the longest file", file(longest), nil, nil},
		{"no file", file(""), ErrInvalidFile, ErrInvalidFile},
		{"a file of a dot", file("."), ErrInvalidFile, ErrInvalidFile},
		{"a file of two dots", file(".."), ErrInvalidFile, ErrInvalidFile},
		{"a file with a slash", file("a/b"), ErrInvalidFile, ErrInvalidFile},
		{"a file with a backslash", file(`a\b`), ErrInvalidFile, ErrInvalidFile},
		{"a file with an accent", file("é"), ErrInvalidFile, ErrInvalidFile},
		{"a file that begins with a space", file(" a"), ErrInvalidFile, ErrInvalidFile},
		{"a file that is too long", file(long), ErrInvalidFile, ErrInvalidFile},
		{"a file with a space inside", file("a b"), ErrInvalidFile, nil},
		{"a file of what Gitea adds", file("=:;()[]{}~!@#$%^& x"), ErrInvalidFile, nil},
		{"a file with a comma", file("a,b"), ErrInvalidFile, ErrInvalidFile},
		{"package before version before file", Ref{}, ErrInvalidPackage, ErrInvalidPackage},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := CheckNames(test.ref, FileNamesDocumented); !errors.Is(err, test.documented) {
				t.Errorf("documented: %v, want %v", err, test.documented)
			}
			if err := CheckNames(test.ref, FileNamesGitea); !errors.Is(err, test.gitea) {
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

func TestIdentityIgnoresCase(t *testing.T) {
	r := Ref{VersionRef: VersionRef{Owner: "Alice", Package: "PKG", Version: "V1-É"}, File: "File.TXT"}
	want := Ref{VersionRef: VersionRef{Owner: "alice", Package: "pkg", Version: "v1-é"}, File: "file.txt"}
	if got := r.Key(); got != want {
		t.Errorf("key is %v", got)
	}
}

// FuzzNames: a name that is accepted cannot be another path, and its key is
// accepted and its own key.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"a", "..", "a/../b", "1%2F2", "İ", "\u2028x", "a b", "\xff", "a\\b", "Kelvin \u212a"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, version, file string) {
		r := Ref{VersionRef: VersionRef{Owner: "o", Package: "p", Version: version}, File: file}
		if CheckNames(r, FileNamesGitea) != nil {
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

func TestLocators(t *testing.T) {
	seen := make(map[Locator]bool)
	directories := make(map[string]int)
	for i := range uint64(30_000) {
		locator := NewLocator(i)
		if seen[locator] {
			t.Fatalf("%s twice", locator)
		}
		seen[locator] = true
		directory, _, err := locator.Split()
		if err != nil {
			t.Fatal(err)
		}
		directories[directory]++
	}
	if len(directories) != 3 {
		t.Errorf("%d directories for 30,000 locators", len(directories))
	}
	if directory, _, err := NewLocator(1<<64 - 1).Split(); err != nil || len(directory) != directoryWidth {
		t.Errorf("the last directory is %q: %v", directory, err)
	}
}

// FuzzLocator: a locator that is followed has two plain parts.
func FuzzLocator(f *testing.F) {
	for _, seed := range []string{"00000000/abc", "../x", "a/b/c", "/", "a/..", `a\b/c`, "A/b", "a/b\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		directory, name, err := Locator(text).Split()
		if err != nil {
			return
		}
		if directory+"/"+name != text || strings.ContainsAny(directory+name, `./\`+"\x00") {
			t.Fatalf("%q is %q and %q", text, directory, name)
		}
	})
}
