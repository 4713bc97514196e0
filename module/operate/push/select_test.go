package push

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
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

// TestWhichFilesArePushed: arguments are files, folders and patterns.
// Seen to fail when a pattern is none that the system does not take for a name.
func TestWhichFilesArePushed(t *testing.T) {
	for _, test := range []struct {
		name   string
		Files  []string
		args   []string
		Chosen client.Filter
		names  naming.FileNames
		want   []string
		err    string
	}{
		{name: "a file", Files: []string{"a"}, args: []string{"a"}, want: []string{"a"}},
		{name: "a folder with folders", Files: []string{"a", "b/c", "b/d/e"}, args: []string{"."}, want: []string{"a", "c", "e"}},
		{name: "files and folders", Files: []string{"a", "b/c"}, args: []string{"a", "b"}, want: []string{"a", "c"}},
		{name: "a file named twice", Files: []string{"b/c"}, args: []string{"b/c", "b"}, want: []string{"c"}},
		{name: "a pattern", Files: []string{"a.txt", "b.txt", "c"}, args: []string{"*.txt"}, want: []string{"a.txt", "b.txt"}},
		{name: "a pattern that is too long for a name", Files: []string{"a.txt", "b"}, args: []string{strings.Repeat("*", 300) + ".txt"}, want: []string{"a.txt"}},
		{name: "a name that is too long", args: []string{strings.Repeat("a", 300)}, err: "name too long"},
		{name: "a name that is a pattern", Files: []string{"[a]", "a"}, args: []string{"[a]"}, names: naming.Gitea, want: []string{"[a]"}},
		{name: "included by name", Files: []string{"a.txt", "b/c.txt", "d"}, args: []string{"."}, Chosen: client.Filter{Include: []string{"*.txt"}}, want: []string{"a.txt", "c.txt"}},
		{name: "excluded by path", Files: []string{"a", "b/c", "b/d"}, args: []string{"."}, Chosen: client.Filter{Exclude: []string{"b/c"}}, want: []string{"a", "d"}},
		{name: "an excluded name is not judged", Files: []string{"a", "b/a"}, args: []string{"."}, Chosen: client.Filter{Exclude: []string{"b/*"}}, want: []string{"a"}},
		{name: "nothing is left", Files: []string{"a"}, args: []string{"."}, Chosen: client.Filter{Exclude: []string{"*"}}, err: "nothing to push"},
		{name: "a file that is not there", args: []string{"a"}, err: "there is no file or folder"},
		{name: "equal names", Files: []string{"b/a", "c/a"}, args: []string{"."}, err: "would both be a"},
		{name: "names that differ by case", Files: []string{"b/README", "c/readme"}, args: []string{"."}, err: "would both be readme"},
		{name: "a name that no registry takes", Files: []string{"a b"}, args: []string{"."}, err: `invalid filename: "a b"`},
		{name: "a name that the option allows", Files: []string{"a b"}, args: []string{"."}, names: naming.Gitea, want: []string{"a b"}},
		{name: "all that is wrong at once", Files: []string{"a b", "b/c", "d/C"}, args: []string{"."}, err: "would both be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(newFolder(t, test.Files...))
			names := test.names
			if names == "" {
				names = naming.Documented
			}
			found, err := collect(test.args, test.Chosen, names)
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
	found, err := collect([]string{filepath.Join(root, "link")}, client.Filter{}, naming.Documented)
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
