package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	document, language, text string
	line                     int
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// documents are the files for those who run or use a registry.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("docs has %d documents: %v", len(names), err)
	}
	all := []string{"README.md"}
	for _, name := range names {
		all = append(all, "docs/"+filepath.Base(name))
	}
	return all
}

// allBlocks returns the fenced blocks of a document.
func allBlocks(t *testing.T, document string) (found []block) {
	t.Helper()
	text := readFile(t, filepath.Join("..", document))
	for _, match := range fence.FindAllStringSubmatchIndex(text, -1) {
		found = append(found, block{document, text[match[2]:match[3]], text[match[4]:match[5]], 1 + strings.Count(text[:match[0]], "\n")})
	}
	return found
}

// blocks returns the fenced blocks of a document in one language.
func blocks(t *testing.T, document, language string) []block {
	t.Helper()
	found := slices.DeleteFunc(allBlocks(t, document), func(b block) bool { return b.language != language })
	if len(found) == 0 {
		t.Errorf("%s has no %s", document, language)
	}
	return found
}

// TestReadmeIsShort: what a reader wants first fits into a few pages.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if words := len(strings.Fields(readFile(t, "../README.md"))); words > 1500 {
		t.Errorf("README.md has %d words, want at most 1500", words)
	}
}

// TestEveryBlockOfTheDocumentsHasATest, or is listed here with the reason why not.
func TestEveryBlockOfTheDocumentsHasATest(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"sh":         "TestCommandsOfTheReadme, …OfRunningARegistry, …OfTokens, …OfClients, …OfMoving",
		"bash":       "TestPublishFromCI",
		"yaml":       "TestRecipesOfCI, TestGoReleaserRecipe, TestAnsibleRecipe",
		"caddyfile":  "TestCaddyfilesOfTheDocuments",
		"json":       "TestJSONOfTheDocuments",
		"ini":        "TestSocketsAreInTheRuntimeDirectory",
		"dockerfile": "TestDockerfileBuildsWhatGoModRequires",
		"text":       "TestCommandsOfTheReadme: what commands print; TestClientsVerifyWhatTheyDownload",
		"console":    "none: dpkg, systemd, apt, npm and pip",
		"powershell": "none: PowerShell is not at hand",
		"cmake":      "TestCMakeRecipes",
		"sql":        "none: the servers of the tests have users of their own",
		"":           "none: a grammar, a listing, or lines out of a Caddyfile",
	}
	for _, document := range documents(t) {
		for _, b := range allBlocks(t, document) {
			if tests[b.language] == "" {
				t.Errorf("%s: no test for %q", b, b.language)
			}
		}
	}
}

// exampleAt is Caddyfile.example with the ports of a test.
func exampleAt(s *server) string {
	s.Helper()
	content, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		s.Fatal(err)
	}
	s.root = filepath.Join(s.dir, "data", "caddy", "generic_registry") // its default
	return s.global() + s.moved(string(content))
}

// TestTheExampleIsServedForAnyHost, from this machine.
func TestTheExampleIsServedForAnyHost(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(exampleAt(s))
	path := filePath("demo", "tool", "1", "f")
	for i, host := range []string{"localhost", "127.0.0.1", "packages.example.com"} {
		request, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://127.0.0.1:%d%s%d", s.port, path, i), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		request.SetBasicAuth("demo", "hello-registry")
		response, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.Body.Close() != nil || response.StatusCode != http.StatusCreated {
			t.Errorf("for %s: %s", host, response.Status)
		}
	}
}

// moved has a text of a document name the test's folders and ports.
func (s *server) moved(text string) string {
	return strings.NewReplacer(
		"localhost:8080", fmt.Sprintf("127.0.0.1:%d", s.port),
		"http://:8080", fmt.Sprintf("http://:%d", s.port),
		"https://packages.example.com", fmt.Sprintf("http://127.0.0.1:%d", s.port),
		"localhost:2019", fmt.Sprintf("127.0.0.1:%d", s.admin),
		"sudo -u caddy ", "",
		"/etc/caddy/Caddyfile", filepath.Join(s.dir, "Caddyfile"),
		"~/.local/share/caddy/", filepath.Join(s.dir, "data", "caddy")+"/",
		"/var/lib/caddy/registry/", s.root+"/",
		"/var/lib/caddy/restored", filepath.Join(s.dir, "restored"),
		"/backup/registry", filepath.Join(s.dir, "backup"),
	).Replace(text)
}

// shell runs commands from the root of the repository, as one script that ends at
// the first failure, with the caddy under test, and returns what they print.
func (s *server) shell(b block, environment ...string) string {
	s.Helper()
	output, err := s.script("bash", "..", b.text, environment...)
	if err != nil {
		s.Errorf("%s: %v\n%s\n%s", b, err, b.text, output)
	}
	return output
}

func (s *server) script(shell, directory, text string, environment ...string) (string, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, shell, "-e", "-c", s.moved(text))
	command.Dir = directory
	command.Env = append(s.environment(), "PATH="+filepath.Dir(caddyBinary)+":"+os.Getenv("PATH"))
	command.Env = append(command.Env, environment...)
	output, err := command.CombinedOutput()
	return string(output), err
}

// TestCommandsOfTheReadme runs every command of README.md, in order: those of the
// trial against the example, those for tokens against the Caddyfile with tokens.
func TestCommandsOfTheReadme(t *testing.T) {
	t.Parallel()
	s, team := newServer(t), newServer(t)
	s.start(exampleAt(s))
	team.start(team.local(caddyfileWith(t, "README.md", "generic_registry_auth {").text))
	ran := 0
	for _, b := range blocks(t, "README.md", "sh") {
		switch {
		case b.text == "go run ./integration/caddy run --config Caddyfile.example\n", b.text == "go test ./...\n":
			continue // the server that runs, and this test
		case strings.HasPrefix(b.text, "xcaddy build "):
			continue // held to go.mod by a test of its own
		case strings.HasPrefix(b.text, "sudo -u caddy caddy "):
			team.shell(b)
		case strings.HasPrefix(b.text, "rm -r "):
			s.eventually("what README.md published and deleted is gone", func() bool {
				committed, _ := s.blobs()
				return len(committed) == 0
			})
			s.signal(syscall.SIGTERM)
			if err := s.ended(); err != nil {
				t.Errorf("the trial ended with %v", err)
			}
			s.shell(b)
			if _, err := os.Stat(s.root); !isMissing(err) {
				t.Errorf("%s: the data is still there: %v", b, err)
			}
		default:
			s.wantShown(b, s.shell(b))
		}
		ran++
	}
	if ran < 6 {
		t.Errorf("%d blocks were run, want all 6", ran)
	}
}

// wantShown compares what commands print with the lines that the document shows right
// after them.
func (s *server) wantShown(b block, output string) {
	s.Helper()
	text := readFile(s, filepath.Join("..", b.document))
	_, after, _ := strings.Cut(text, b.text+"```\n")
	shown := fence.FindStringSubmatch(after)
	if shown == nil || shown[1] != "text" || !strings.HasPrefix(strings.TrimSpace(after), "```text") {
		return
	}
	for line := range strings.Lines(shown[2]) {
		if !strings.Contains(output, strings.TrimSpace(line)) {
			s.Errorf("%s: printed %q, want the line %q", b, output, line)
		}
	}
}

// TestCommandsOfTokens runs every command of auth.md with its Caddyfile for tokens.
func TestCommandsOfTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.local(caddyfileWith(t, "docs/auth.md", "admin unix").text))
	for _, b := range blocks(t, "docs/auth.md", "sh") {
		s.shell(b)
	}
}

// TestCommandsOfRunningARegistry runs every command of operate.md, in order.
func TestCommandsOfRunningARegistry(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filePath("alice", "tool", "1.0.0", "tool")
	s.put(path, []byte("a tool"))
	s.want(204, "DELETE", path, "alice", nil)
	for _, b := range blocks(t, "docs/operate.md", "sh") {
		got := s.shell(b)
		if strings.HasPrefix(b.text, "zcat") && strings.Count(got, "\n") != 1 {
			t.Errorf("%s: printed %q, want the one deletion", b, got)
		}
	}
	if commands := blocks(t, "docs/performance.md", "sh"); len(commands) != 1 || commands[0].text != "go run ./integration/bench\n" {
		t.Errorf("performance.md has %v, want the benchmark, which has tests of its own", commands)
	}
}
