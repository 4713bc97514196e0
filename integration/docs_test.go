package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	document, language, text string
	line                     int
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks returns the fenced blocks of a document in one language.
func blocks(t *testing.T, document, language string) (found []block) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", document))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, match := range fence.FindAllStringSubmatchIndex(text, -1) {
		if text[match[2]:match[3]] == language {
			found = append(found, block{document, language, text[match[4]:match[5]], 1 + strings.Count(text[:match[0]], "\n")})
		}
	}
	if len(found) == 0 {
		t.Errorf("%s has no %s", document, language)
	}
	return found
}

// exampleAt is Caddyfile.example with the ports of a test.
func exampleAt(s *server) string {
	content, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		s.Fatal(err)
	}
	text := s.moved(string(content))
	return s.global() + text
}

func (s *server) moved(text string) string {
	return strings.NewReplacer(
		"localhost:8080", fmt.Sprintf("127.0.0.1:%d", s.port),
		"localhost:2019", fmt.Sprintf("127.0.0.1:%d", s.admin),
		"/var/lib/caddy/registry/", filepath.Join(s.dir, "data", "caddy", "generic_registry")+"/",
		"/var/lib/caddy/restored", filepath.Join(s.dir, "restored"),
		"/backup/registry", filepath.Join(s.dir, "backup"),
	).Replace(text)
}

// TestCommandsOfTheReadme runs every command of README.md, in order, against the
// example configuration.
func TestCommandsOfTheReadme(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(exampleAt(s))
	ran := make(map[string]int)
	for _, b := range blocks(t, "README.md", "sh") {
		for command := range strings.Lines(b.text) {
			command = strings.TrimSpace(command)
			word, _, _ := strings.Cut(command, " ")
			switch {
			case command == "go run ./integration/caddy run --config Caddyfile.example", command == "go test ./...", command == "go run ./integration/bench":
				// The server that runs, this test, and one of its own.
			case strings.HasPrefix(command, "xcaddy build "):
				// Held to go.mod by a test at the root.
			case strings.HasPrefix(command, "caddy "):
				s.shell(b, caddyBinary+strings.TrimPrefix(s.moved(command), "caddy")+fmt.Sprintf(" --address 127.0.0.1:%d", s.admin))
			case word == "curl", word == "zcat":
				s.shell(b, s.moved(command))
			default:
				t.Errorf("%s: no test knows how to run %q", b, command)
			}
			ran[word]++
		}
	}
	if ran["go"] != 3 || ran["xcaddy"] != 2 || ran["curl"] < 5 || ran["caddy"] < 7 || ran["zcat"] != 1 {
		t.Errorf("commands were %v", ran)
	}
	s.eventually("what the README published and deleted is gone", func() bool {
		committed, _ := s.blobs()
		return len(committed) == 0
	})
}

func (s *server) shell(b block, command string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", command)
	shell.Dir = ".."
	if output, err := shell.CombinedOutput(); err != nil {
		s.Errorf("%s: %s: %v\n%s", b, command, err, output)
	}
}

// TestCaddyfilesOfTheDocuments: each is valid as it stands, formatted, and starts
// with a registry that refuses anonymous writes.
func TestCaddyfilesOfTheDocuments(t *testing.T) {
	t.Parallel()
	all := blocks(t, "README.md", "caddyfile")
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	all = append(all,
		block{"Caddyfile.example", "caddyfile", string(example), 1},
		block{"Caddyfile.example, production", "caddyfile", uncommented(t, string(example)), 1})
	for _, b := range all {
		t.Run(b.String(), func(t *testing.T) {
			s := newServer(t)
			name := s.writeConfig(s.placed(b.text))
			for _, arguments := range [][]string{{"validate", "--adapter", "caddyfile"}, {"fmt", "--diff"}} {
				if output, err := s.caddy(append(arguments, config(arguments[0], name)...)...); err != nil {
					t.Errorf("caddy %s: %v\n%s", arguments[0], err, output)
				}
			}
			if strings.Contains(b.text, "client_auth") || strings.Contains(b.text, "forward_auth") {
				return // they have stories of their own, with certificates and a portal
			}
			s.start(s.local(b.text))
			s.want(http.StatusUnauthorized, http.MethodPut, filePath("team", "p", "1", "f"), "", []byte("x"))
		})
	}
}

func config(command, name string) []string {
	if command == "fmt" {
		return []string{name}
	}
	return []string{"--config", name}
}

var siteAddress = regexp.MustCompile(`(?m)^(packages\.example\.com|example\.com|http://localhost:8080) \{`)

// local makes a Caddyfile of a document run in a test's folders, on its port.
func (s *server) local(text string) string {
	s.Helper()
	_, text = splitGlobal(s.placed(text))
	moved := siteAddress.ReplaceAllString(text, fmt.Sprintf("http://127.0.0.1:%d {", s.port))
	if moved == text {
		s.Fatalf("no site address known to the test in:\n%s", text)
	}
	return s.global() + strings.ReplaceAll(strings.ReplaceAll(moved,
		"/var/lib/caddy/registry", s.root), "{$REGISTRY_ROOT:/var/lib/caddy/registry}", s.root)
}

// placed puts files of a document where the test has them.
func (s *server) placed(text string) string {
	s.Helper()
	const clients = "/etc/caddy/clients.pem"
	if !strings.Contains(text, clients) {
		return text
	}
	return strings.ReplaceAll(text, clients, s.clientAuthority().file)
}

// splitGlobal takes the global options off a Caddyfile.
func splitGlobal(text string) (global, rest string) {
	if !strings.HasPrefix(text, "{\n") {
		return "", text
	}
	global, rest, _ = strings.Cut(text, "\n}\n")
	return global + "\n}\n", rest
}

// uncommented returns the production form of the example, ready to use.
func uncommented(t *testing.T, text string) string {
	t.Helper()
	_, production, found := strings.Cut(text, "# packages.example.com {")
	if !found {
		t.Fatal("the example has no production form")
	}
	var lines strings.Builder
	lines.WriteString("packages.example.com {")
	for line := range strings.Lines(production) {
		lines.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "# "), "#"))
	}
	return lines.String()
}

// TestJSONOfTheReadme: the handler in README loads as it is.
func TestJSONOfTheReadme(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t, "README.md", "json") {
		s := newServer(t)
		text, err := json.Marshal(map[string]any{
			"admin": map[string]any{"disabled": true},
			"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"s": map[string]any{
				"listen": []string{":8080"},
				"routes": []any{map[string]any{"handle": []any{json.RawMessage(b.text)}}},
			}}}},
		})
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if output, err := s.caddy("validate", "--config", s.writeJSON(text)); err != nil {
			t.Errorf("%s: %v\n%s", b, err, output)
		}
	}
}

func (s *server) writeJSON(text []byte) string {
	s.Helper()
	name := filepath.Join(s.dir, "caddy.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		s.Fatal(err)
	}
	return name
}

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
