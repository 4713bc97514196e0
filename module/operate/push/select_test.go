package push

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// newFolder makes files, each of which has its own path as content.
func newFolder(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, path := range paths {
		place := filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWhichFilesArePushed(t *testing.T) {
	for _, test := range []struct {
		name   string
		files  []string
		args   []string
		chosen filter
		names  store.FileNames
		want   []string
		err    string
	}{
		{name: "a file", files: []string{"a"}, args: []string{"a"}, want: []string{"a"}},
		{name: "a folder with folders", files: []string{"a", "b/c", "b/d/e"}, args: []string{"."}, want: []string{"a", "c", "e"}},
		{name: "files and folders", files: []string{"a", "b/c"}, args: []string{"a", "b"}, want: []string{"a", "c"}},
		{name: "a file named twice", files: []string{"b/c"}, args: []string{"b/c", "b"}, want: []string{"c"}},
		{name: "a pattern", files: []string{"a.txt", "b.txt", "c"}, args: []string{"*.txt"}, want: []string{"a.txt", "b.txt"}},
		{name: "a name that is a pattern", files: []string{"[a]", "a"}, args: []string{"[a]"}, names: store.FileNamesGitea, want: []string{"[a]"}},
		{name: "included by name", files: []string{"a.txt", "b/c.txt", "d"}, args: []string{"."}, chosen: filter{include: []string{"*.txt"}}, want: []string{"a.txt", "c.txt"}},
		{name: "excluded by path", files: []string{"a", "b/c", "b/d"}, args: []string{"."}, chosen: filter{exclude: []string{"b/c"}}, want: []string{"a", "d"}},
		{name: "an excluded name is not judged", files: []string{"a", "b/a"}, args: []string{"."}, chosen: filter{exclude: []string{"b/*"}}, want: []string{"a"}},
		{name: "nothing is left", files: []string{"a"}, args: []string{"."}, chosen: filter{exclude: []string{"*"}}, err: "nothing to push"},
		{name: "a file that is not there", args: []string{"a"}, err: "there is no file or folder"},
		{name: "equal names", files: []string{"b/a", "c/a"}, args: []string{"."}, err: "would both be a"},
		{name: "names that differ by case", files: []string{"b/README", "c/readme"}, args: []string{"."}, err: "would both be readme"},
		{name: "a name that no registry takes", files: []string{"a b"}, args: []string{"."}, err: `invalid filename: "a b"`},
		{name: "a name that the option allows", files: []string{"a b"}, args: []string{"."}, names: store.FileNamesGitea, want: []string{"a b"}},
		{name: "all that is wrong at once", files: []string{"a b", "b/c", "d/C"}, args: []string{"."}, err: "would both be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(newFolder(t, test.files...))
			names := test.names
			if names == "" {
				names = store.FileNamesDocumented
			}
			found, err := collect(test.args, test.chosen, names)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error is %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, file := range found {
				got = append(got, file.name)
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestLinksAreFollowedToFiles and to a folder that was named, and not to folders below.
func TestLinksAreFollowedToFiles(t *testing.T) {
	root := newFolder(t, "real/a", "other/b")
	for link, to := range map[string]string{"link": "real", "real/c": "../other/b", "real/folder": "../other"} {
		if err := os.Symlink(to, filepath.Join(root, filepath.FromSlash(link))); err != nil {
			t.Fatal(err)
		}
	}
	found, err := collect([]string{filepath.Join(root, "link")}, filter{}, store.FileNamesDocumented)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range found {
		got = append(got, file.name)
	}
	slices.Sort(got)
	if want := []string{"a", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheURLOfAVersion(t *testing.T) {
	for _, test := range []struct{ text, file, listing, err string }{
		{text: "https://h/api/packages/o/generic/p/1.0", file: "https://h/api/packages/o/generic/p/1.0/a%20b", listing: "https://h/api/v1/packages/o/generic/p/1.0/files"},
		{text: "https://h/api/packages/o/generic/p/1.0/", file: "https://h/api/packages/o/generic/p/1.0/a%20b", listing: "https://h/api/v1/packages/o/generic/p/1.0/files"},
		{text: "http://h:3000/git/api/packages/o%20o/generic/p/1%2F2", file: "http://h:3000/git/api/packages/o%20o/generic/p/1%2F2/a%20b", listing: "http://h:3000/git/api/v1/packages/o%20o/generic/p/1%2F2/files"},
		{text: "https://h/files/o/generic/p/1", file: "https://h/files/o/generic/p/1/a%20b"},
		{text: "https://h/o/generic/p/1", file: "https://h/o/generic/p/1/a%20b"},
		{text: "https://h/api/packages/o/maven/p/1", err: "ends in"},
		{text: "https://h/api/packages/o/generic/p", err: "ends in"},
		{text: "https://h//generic/p/1", err: "an element of its path is empty"},
		{text: "https://h/o/generic/p/1?x", err: "query"},
		{text: "https://u:secret@h/o/generic/p/1", err: "password"},
		{text: "o/generic/p/1", err: "is not the URL"},
		{text: "ftp://h/o/generic/p/1", err: "is not the URL"},
	} {
		got, err := parseTarget(test.text)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: error is %v, want %q", test.text, err, test.err)
			}
			continue
		}
		if err != nil || got.file("a b").String() != test.file {
			t.Errorf("%s: a file is at %s, %v; want %s", test.text, got.file("a b"), err, test.file)
			continue
		}
		listing := ""
		if got.listing() != nil {
			listing = got.listing().String()
		}
		if listing != test.listing {
			t.Errorf("%s: the listing is at %q, want %q", test.text, listing, test.listing)
		}
	}
	if got, err := parseTarget("https://alice@h/o/generic/p/1"); err != nil || got.user != "alice" || got.base.User != nil {
		t.Errorf("the user of the URL: %q, %v", got.user, err)
	}
	got, err := parseTarget("https://h/o/generic/p/1")
	if err != nil || got.file("..").String() != "https://h/o/generic/p/1/%2E%2E" {
		t.Errorf("a file of dots is at %s, %v", got.file(".."), err)
	}
}
