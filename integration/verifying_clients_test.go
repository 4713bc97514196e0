package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// getter builds a program of a module of its own, which uses go-getter: what that needs is
// nothing that the registry needs.
var getter = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(caddyBinary), "getter")
	err := os.CopyFS(dir, os.DirFS("testdata/clients/getter"))
	if err == nil { // it has another name there, where all Go files are of the registry's module
		err = os.Rename(filepath.Join(dir, "main.go.txt"), filepath.Join(dir, "main.go"))
	}
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "getter")
	command := exec.Command("go", "build", "-o", binary)
	command.Dir = dir
	output, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("building it: %w\n%s", err, output)
	}
	return binary, err
})

// TestClientsVerifyWhatTheyDownload: real clients download a file and compare it with a
// checksum that the registry computes. They say so when it differs.
//
// Seen to fail with names with a space before the others in SHA256SUMS.
func TestClientsVerifyWhatTheyDownload(t *testing.T) {
	t.Parallel()
	s := startServer(t, "file_names gitea")
	const content = "a tool"
	path := func(name string) string { return address(s, filePath("alice", "tool", "1.0.0", name)) }
	// The list has a name with a space too, which go-getter reads as a sum of any file.
	for name, content := range map[string]string{"tool.bin": content, "a%20b.txt": "another", "wrong.sha256": strings.Repeat("0", 64) + "  tool.bin\n"} {
		s.put(filePath("alice", "tool", "1.0.0", name), []byte(content))
	}
	for _, client := range []struct {
		name string
		// get downloads the file and compares it with what is at the URL of a checksum.
		get func(t *testing.T, dir, sums string) (output string, err error)
		// sums are the computed files whose form the client reads.
		sums []string
		// differs is what the client says of a file that is not the right one.
		differs string
	}{
		{"go-getter", func(t *testing.T, dir, sums string) (string, error) {
			binary, err := getter()
			if err != nil {
				t.Fatal(err)
			}
			return runIn(t, dir, binary, path("tool.bin")+"?checksum=file:"+sums, filepath.Join(dir, "got"))
		}, []string{"SHA256SUMS", "tool.bin.sha256", "tool.bin.sha512"}, "Checksums did not match"},
		{"Ansible", func(t *testing.T, dir, sums string) (string, error) {
			return runIn(t, dir, "ansible", "localhost", "--extra-vars", "ansible_python_interpreter="+pythonOfDebian, "--module-name", "ansible.builtin.get_url",
				"--args", fmt.Sprintf("url=%s dest=%s checksum=sha256:%s", path("tool.bin"), filepath.Join(dir, "got"), sums))
		}, []string{"SHA256SUMS"}, "did not match"},
	} {
		t.Run(client.name, func(t *testing.T) {
			for _, sums := range client.sums {
				dir := t.TempDir()
				if output, err := client.get(t, dir, path(sums)); err != nil {
					t.Errorf("with %s: %v\n%s", sums, err, output)
				} else if got := readIn(t, dir, "got"); got != content {
					t.Errorf("with %s it got %q, want %q", sums, got, content)
				}
			}
			if output, err := client.get(t, t.TempDir(), path("wrong.sha256")); err == nil || !strings.Contains(output, client.differs) {
				t.Errorf("with a wrong checksum: %v, want a failure that says %q\n%s", err, client.differs, output)
			}
		})
	}
}

// TestCMakeRecipes has CMake publish and download as clients.md says. It fails where the file
// is published already, and at another digest.
func TestCMakeRecipes(t *testing.T) {
	t.Parallel()
	s, token := teamWithTokens(t)
	dir := t.TempDir()
	writeIn(t, dir, "tool.tar.gz", "a tool")
	recipes := blocks(t, "docs/clients.md", "cmake")
	if len(recipes) != 2 {
		t.Fatalf("clients.md has %d recipes for CMake, want one that publishes and one that downloads", len(recipes))
	}
	digest := sha256.Sum256([]byte("a tool"))
	for _, test := range []struct{ name, recipe, digest, fails string }{
		{"a file is published", recipes[0].text, "", ""},
		{"the same again is refused", recipes[0].text, "", "409"},
		{"a file that is downloaded", recipes[1].text, hex.EncodeToString(digest[:]), ""},
		{"another digest", recipes[1].text, strings.Repeat("0", 64), "HASH mismatch"},
	} {
		writeIn(t, dir, "recipe.cmake", strings.ReplaceAll(s.moved(test.recipe), "<digest>", test.digest))
		output, err := s.script("sh", dir, "cmake -P recipe.cmake", "REGISTRY_TOKEN="+token)
		if (err != nil) != (test.fails != "") || !strings.Contains(output, test.fails) {
			t.Errorf("%s: %v, want a failure that says %q\n%s", test.name, err, test.fails, output)
		}
		if test.digest != "" && test.fails == "" && readIn(t, dir, "downloaded/tool.tar.gz") != "a tool" {
			t.Errorf("%s has other bytes", test.name)
		}
	}
}

// TestAnsibleRecipe has Ansible run the recipe of clients.md, and again when other bytes are
// to be published under the same name.
func TestAnsibleRecipe(t *testing.T) {
	t.Parallel()
	s, token := teamWithTokens(t)
	dir := t.TempDir()
	var tasks string
	for _, b := range blocks(t, "docs/clients.md", "yaml") {
		if strings.Contains(b.text, "ansible.builtin.uri") {
			tasks = strings.NewReplacer("dist/tool.tar.gz", filepath.Join(dir, "dist/tool.tar.gz"), "/opt/tool.tar.gz", filepath.Join(dir, "got")).Replace(s.moved(b.text))
		}
	}
	var list []any
	if err := yaml.Unmarshal([]byte(tasks), &list); err != nil || len(list) != 2 {
		t.Fatalf("clients.md has no recipe for Ansible of two tasks: %v", err)
	}
	play, err := yaml.Marshal([]any{map[string]any{"hosts": "localhost", "gather_facts": false, "tasks": list}})
	if err != nil {
		t.Fatal(err)
	}
	writeIn(t, dir, "play.yml", string(play))
	run := func(content string) (string, error) {
		writeIn(t, dir, "dist/tool.tar.gz", content)
		return runIn(t, dir, "ansible-playbook", "--extra-vars", "ansible_python_interpreter="+pythonOfDebian+" registry_token="+token, "play.yml")
	}
	if output, err := run("a tool"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got := readIn(t, dir, "got"); got != "a tool" {
		t.Errorf("it got %q, want what it published", got)
	}
	if output, err := run("another tool"); err == nil || !strings.Contains(output, "Status code was 409") {
		t.Errorf("with other bytes: %v, want a failure that says 409\n%s", err, output)
	}
	s.wantBytes(filePath("team", "tool", "1.0.0", "tool.tar.gz"), []byte("a tool"))
}
