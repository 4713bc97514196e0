package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTestsOfContributing: those that its tables name are there.
func TestTestsOfContributing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "./...")
	list.Dir = ".."
	directories, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := testSources(t, strings.Fields(string(directories)))
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 50 {
		t.Errorf("%d tests are named", len(named))
	}
	for _, match := range named {
		if !strings.Contains(tests, "func "+match[1]+"(") {
			t.Errorf("there is no %s", match[1])
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
	if len(commands) != 13 {
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
