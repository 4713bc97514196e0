package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// edit replaces a text that a source file has exactly once.
type edit struct{ file, from, to string }

// mutants has a function for each binary with faults, by its edits: several tests want the same.
var mutants sync.Map

// mutant is the binary under test, built from sources with a fault in them. The
// product has no switch for faults: the go command is told to read other files.
func mutant(t testing.TB, edits ...edit) (binary string) {
	t.Helper()
	build, _ := mutants.LoadOrStore(fmt.Sprintf("%q", edits), sync.OnceValues(func() (string, error) { return buildMutant(edits) }))
	binary, err := build.(func() (string, error))()
	if err != nil {
		t.Fatalf("building a mutant: %v", err)
	}
	return binary
}

func buildMutant(edits []edit) (binary string, err error) {
	sources, err := edited(edits)
	if err != nil {
		return "", err
	}
	return buildFrom(sources)
}

// buildFrom builds a Caddy of which some source files have other texts, or are more.
func buildFrom(sources map[string]string) (binary string, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(caddyBinary), "edited-")
	if err != nil {
		return "", err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for name, text := range sources {
		overlay.Replace[name] = filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(overlay.Replace[name], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "caddy")
	output, err := exec.Command("go", "build", withoutSymbols, "-overlay", list, "-o", binary, "./caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return binary, nil
}

// edited returns the texts of source files with edits.
func edited(edits []edit) (sources map[string]string, err error) {
	sources = make(map[string]string)
	for _, e := range edits {
		name, err := filepath.Abs(filepath.Join("..", e.file))
		if err != nil {
			return nil, err
		}
		if _, ok := sources[name]; !ok {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			sources[name] = string(text)
		}
		if count := strings.Count(sources[name], e.from); count != 1 {
			return nil, fmt.Errorf("%s has %q %d times", e.file, e.from, count)
		}
		sources[name] = strings.Replace(sources[name], e.from, e.to, 1)
	}
	return sources, nil
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
