package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edit replaces a text that a source file has exactly once.
type edit struct{ file, from, to string }

// mutant builds the binary under test from sources with a fault in them. The
// product has no switch for faults: the go command is told to read other files.
func mutant(t testing.TB, edits ...edit) (binary string) {
	t.Helper()
	dir := t.TempDir()
	sources := make(map[string]string)
	for _, e := range edits {
		name, err := filepath.Abs(filepath.Join("..", e.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := sources[name]; !ok {
			sources[name] = readFile(t, name)
		}
		if count := strings.Count(sources[name], e.from); count != 1 {
			t.Fatalf("%s has %q %d times", e.file, e.from, count)
		}
		sources[name] = strings.Replace(sources[name], e.from, e.to, 1)
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for name, text := range sources {
		overlay.Replace[name] = filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		writeFile(t, overlay.Replace[name], text)
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	writeFile(t, list, string(text))
	binary = filepath.Join(dir, "caddy")
	if output, err := exec.Command("go", "build", withoutSymbols, "-overlay", list, "-o", binary, "./caddy").CombinedOutput(); err != nil {
		t.Fatalf("building a mutant: %v\n%s", err, output)
	}
	return binary
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
