package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link        = regexp.MustCompile(`\]\(([^)]+)\)`)
	punctuation = regexp.MustCompile(`[^\pL\pN _-]`)
	mentioned   = regexp.MustCompile("`((?:module|caddyfile|integration|filesystem|packs|badger|\\.ci)/[A-Za-z0-9_./-]+)`")
)

// TestLinksOfTheDocuments: what they link to or name in the tree is there.
func TestLinksOfTheDocuments(t *testing.T) {
	t.Parallel()
	found := 0
	for _, document := range append(documents(t), "CONTRIBUTING.md", "CHANGELOG.md") {
		content, err := os.ReadFile(filepath.Join("..", document))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, match := range link.FindAllStringSubmatch(string(content), -1) {
			if target, heading, _ := strings.Cut(match[1], "#"); target == "" {
				names = append(names, document+"#"+heading)
			} else if !strings.Contains(target, "://") {
				names = append(names, strings.TrimSuffix(filepath.Join(filepath.Dir(document), target)+"#"+heading, "#"))
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
	if found < 40 {
		t.Errorf("%d links were found, want those of all documents", found)
	}
}

// exists looks for a name from the root, or from a room of module/, and for the
// heading that a link names.
func exists(name string) bool {
	name, heading, hasHeading := strings.Cut(name, "#")
	if hasHeading {
		text, err := os.ReadFile(filepath.Join("..", name))
		return err == nil && slices.Contains(headings(string(text)), heading)
	}
	for _, base := range []string{"..", "../module/blobs", "../module/metadata"} {
		if _, err := os.Stat(filepath.Join(base, name)); err == nil {
			return true
		}
	}
	return false
}

// headings are those of a document, as links name them.
func headings(text string) (names []string) {
	for line := range strings.Lines(text) {
		if title, found := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); found && strings.HasPrefix(line, "#") {
			title = punctuation.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			names = append(names, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return names
}

// TestTablesOfTheDocuments: each has one head, with as many columns as every row.
func TestTablesOfTheDocuments(t *testing.T) {
	t.Parallel()
	rule := regexp.MustCompile(`^\|(-+\|)+$`)
	for _, document := range append(documents(t), "CONTRIBUTING.md") {
		tables, columns, before := 0, 0, ""
		for number, line := range strings.Split(readFile(t, filepath.Join("..", document)), "\n") {
			cells := strings.Count(line, "|") - strings.Count(line, `\|`)
			switch {
			case !strings.HasPrefix(line, "|"):
				columns = 0
			case rule.MatchString(line) && (!strings.HasPrefix(before, "|") || rule.MatchString(before)):
				t.Errorf("%s:%d: a table without a head", document, number+1)
			case rule.MatchString(line):
				tables, columns = tables+1, cells
				if head := strings.Count(before, "|"); head != columns {
					t.Errorf("%s:%d: %d cells in the head of a table of %d", document, number, head, columns)
				}
			case columns > 0 && cells != columns:
				t.Errorf("%s:%d: %d cells in a table of %d", document, number+1, cells, columns)
			}
			before = line
		}
		if tables == 0 {
			t.Errorf("%s has no table", document)
		}
	}
}
