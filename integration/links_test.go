package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link      = regexp.MustCompile(`\]\(([^)]+)\)`)
	mentioned = regexp.MustCompile("`((?:module|caddyfile|integration|filesystem|badger|\\.ci)/[A-Za-z0-9_./-]+)`")
)

// TestLinksOfTheDocuments: what they link to or name in the tree is there.
func TestLinksOfTheDocuments(t *testing.T) {
	t.Parallel()
	found := 0
	for _, document := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		content, err := os.ReadFile(filepath.Join("..", document))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, match := range link.FindAllStringSubmatch(string(content), -1) {
			if !strings.Contains(match[1], "://") {
				names = append(names, match[1])
			}
		}
		for _, match := range mentioned.FindAllStringSubmatch(string(content), -1) {
			names = append(names, match[1])
		}
		for _, name := range names {
			found++
			if !exists(name) {
				t.Errorf("%s: there is no %s", document, name)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d links found", found)
	}
}

// exists looks for a name from the root, or from a room of module/.
func exists(name string) bool {
	for _, base := range []string{"..", "../module/blobs", "../module/metadata"} {
		if _, err := os.Stat(filepath.Join(base, name)); err == nil {
			return true
		}
	}
	return false
}
