package integration

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestClientsWalkTheList has real clients copy all that alice publishes by following the
// links of the plain lists.
func TestClientsWalkTheList(t *testing.T) {
	t.Parallel()
	s := startServer(t, "browse", "file_names gitea", "owner priv {\n\t\t\tread bob\n\t\t\twrite alice\n\t\t}")
	want := make(map[string]string)
	for _, path := range []string{
		"tool/1.0.0/README.md", "tool/1.0.0/tool.tar.gz", "tool/1.0.0/a b&c.txt", "tool/1.0.0/50%.txt", "tool/v2 beta/tool.tar.gz", "tool/é:1/tool.tar.gz", "c++/1/=.bin",
	} {
		parts := strings.Split(path, "/")
		want[path] = "content of " + path
		s.put(filePath("alice", url.PathEscape(parts[0]), url.PathEscape(parts[1]), url.PathEscape(parts[2])), []byte(want[path]))
	}
	s.put(filePath("priv", "tool", "1", "tool.tar.gz"), []byte("private"))
	for _, client := range []struct {
		name string
		copy func(t *testing.T, dir string)
		root string
	}{
		{"rclone", func(t *testing.T, dir string) {
			mustRunIn(t, dir, "rclone", "--config", os.DevNull, "copy", "--http-url", address(s, api+"alice/generic/"), ":http:", "copied")
		}, "copied"},
		{"wget", func(t *testing.T, dir string) {
			mustRunIn(t, dir, "wget", "--quiet", "--recursive", "--no-parent", "--no-host-directories", "--reject=index.html*", address(s, api+"alice/generic/"))
		}, "api/packages/alice/generic"},
		{"lftp", func(t *testing.T, dir string) {
			mustRunIn(t, dir, "lftp", "-c", "set net:max-retries 1; open "+address(s, api+"alice/generic/")+"; mirror . copied")
		}, "copied"},
	} {
		t.Run(client.name, func(t *testing.T) {
			dir := t.TempDir()
			client.copy(t, dir)
			got := filesIn(t, filepath.Join(dir, client.root))
			if !maps.Equal(got, want) {
				t.Errorf("copied %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
		})
	}
	t.Run("rclone lists nothing private", func(t *testing.T) {
		output, err := runIn(t, t.TempDir(), "rclone", "--config", os.DevNull, "lsf", "--recursive", "--http-url", address(s, api), ":http:")
		if err != nil || strings.Contains(output, "priv") || !strings.Contains(output, "alice/generic/tool/1.0.0/tool.tar.gz") {
			t.Errorf("%v\n%s", err, output)
		}
	})
}

// TestCommandsOfBrowse runs every command of browse.md against the example.
func TestCommandsOfBrowse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(exampleAt(s))
	for path, content := range map[string][]byte{
		filePath("demo", "tool", "1.0.0", "tool.tar.gz"):               []byte("a tool"),
		filePath("demo", "wheels", "1.0", "hreg-1.0-py3-none-any.whl"): wheel(t),
	} {
		output(t, "curl", "--fail", "--silent", "--show-error", "--user", "demo:hello-registry", "--upload-file", writeIn(t, t.TempDir(), "content", string(content)), address(s, path))
	}
	dir := t.TempDir()
	for _, b := range blocks(t, "docs/browse.md", "sh") {
		if output, err := s.script("bash", dir, b.text); err != nil {
			t.Fatalf("%s: %v\n%s", b, err, output)
		}
	}
	for _, copied := range []string{"tool/tool.tar.gz", fmt.Sprintf("127.0.0.1:%d/api/packages/demo/generic/tool/1.0.0/tool.tar.gz", s.port), "1.0.0/tool.tar.gz", "hreg-1.0-py3-none-any.whl"} {
		if _, err := os.Stat(filepath.Join(dir, copied)); err != nil {
			t.Errorf("the commands did not copy %s: %v", copied, err)
		}
	}
	if page := output(t, "curl", "--fail", "--silent", "--location", "--header", "Accept: "+acceptPage, address(s, "/")); !strings.Contains(page, ">demo</a>") {
		t.Errorf("the example's address does not lead to the pages:\n%s", page)
	}
}

// output is what a command prints.
func output(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	printed, err := exec.CommandContext(t.Context(), name, arguments...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, arguments, err)
	}
	return string(printed)
}

// filesIn are the contents of the files below a directory.
func filesIn(t testing.TB, root string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		found[name] = readFile(t, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
