package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWhereIsNamesFiles: the table says for 25 behaviours and more in which file or
// folder each is. TestLinksOfTheDocuments finds those that are not there.
func TestWhereIsNamesFiles(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(readFile(t, "../CONTRIBUTING.md"), "| behaviour | file |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	for _, row := range rows {
		if len(mentioned.FindAllString(row, -1)) == 0 {
			t.Errorf("no file is named in %s", row)
		}
	}
	if len(rows) < 25 {
		t.Errorf("the table has %d rows, want 25", len(rows))
	}
}

// TestNamedTestsAreThere: those that CONTRIBUTING.md and the package comment of
// integration name exist.
func TestNamedTestsAreThere(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "./...")
	list.Dir = ".."
	directories, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := testSources(t, strings.Fields(string(directories)))
	text := readFile(t, "../CONTRIBUTING.md") + readFile(t, "doc.go")
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*`).FindAllString(text, -1)
	if len(named) < 50 {
		t.Errorf("%d tests are named, want those of the invariants and the incidents", len(named))
	}
	for _, name := range named {
		if !strings.Contains(tests, "func "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
}

// TestCommandsOfContributing: the packages that the table's commands name are
// there, and so are the tests and flags. Running them all is CI's, or takes hours.
func TestCommandsOfContributing(t *testing.T) {
	t.Parallel()
	if got := blocks(t, "CONTRIBUTING.md", "sh"); len(got) != 1 || got[0].text != "go test ./...\n.ci/run\n" {
		t.Errorf("commands are %v", got)
	}
	text, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?m)^\\|.*\\| `([^`]*go test [^`]*)` \\|$").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 15 {
		t.Errorf("%d commands in the table", len(commands))
	}
	for _, match := range commands {
		command := strings.Fields(strings.ReplaceAll(match[1], `\|`, "|")) // as a table needs it
		var packages []string
		for _, word := range command {
			if strings.HasPrefix(word, "./") {
				packages = append(packages, word)
			}
		}
		list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-f", "{{.Dir}}"}, packages...)...)
		list.Dir = ".."
		directories, err := list.Output()
		if err != nil || len(packages) == 0 {
			t.Errorf("%s: %v", match[1], err)
		}
		tests := testSources(t, strings.Fields(string(directories)))
		for _, wanted := range wantedOf(command) {
			if !wanted.MatchString(tests) {
				t.Errorf("%s: no test has %s", match[1], wanted)
			}
		}
	}
}

// wantedOf returns what the tests must have for a command to do anything.
func wantedOf(command []string) (wanted []*regexp.Regexp) {
	for i, word := range command {
		switch word {
		case "-run", "-fuzz", "-bench":
			if name := strings.Trim(command[i+1], "'"); name != "^$" && name != "." {
				wanted = append(wanted, regexp.MustCompile(`func (Test|Fuzz|Benchmark)?(`+name+`)`))
			}
		case "-update":
			wanted = append(wanted, regexp.MustCompile(`flag\.Bool\("update"`))
		case "-rapid.checks":
			wanted = append(wanted, regexp.MustCompile(`Model`))
		}
		if name, _, isVariable := strings.Cut(word, "="); isVariable && strings.HasPrefix(name, "GENERIC_REGISTRY_") {
			wanted = append(wanted, regexp.MustCompile(`"`+name+`"`))
		}
	}
	return wanted
}

func testSources(t *testing.T, directories []string) string {
	t.Helper()
	var all strings.Builder
	for _, directory := range directories {
		names, err := filepath.Glob(filepath.Join(directory, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(source)
		}
	}
	return all.String()
}
