package integration

import (
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

// TestCaddyfilesOfTheDocuments: each is valid as it stands, formatted, and starts
// with a registry that refuses anonymous writes.
func TestCaddyfilesOfTheDocuments(t *testing.T) {
	t.Parallel()
	var all []block
	for _, document := range documents(t) {
		for _, b := range allBlocks(t, document) {
			if b.language == "caddyfile" {
				all = append(all, b)
			}
		}
	}
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
			b.text = strings.ReplaceAll(b.text, "{env.REGISTRY_PASSWORD}", "of-a-server-that-is-none")
			if strings.Contains(b.text, "blobs s3") {
				s.faults = append(s.faults, "store is not available") // its server is none
			}
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
			if strings.Contains(b.text, "lb_policy") { // of nodes that are not there: 502 until their health is known
				s.eventually("no node is healthy", func() bool {
					got, err := s.try(http.MethodGet, "/", "", nil)
					return err == nil && got.status == http.StatusServiceUnavailable
				})
				return
			}
			s.want(http.StatusUnauthorized, http.MethodPut, filePath("team", "p", "1", "f"), "", []byte("x"))
			s.wantRealm()
		})
	}
}

// wantRealm wants whoever refuses credentials to ask for the same ones as the registry
// does: a browser asks its user once for each realm.
func (s *server) wantRealm() {
	s.Helper()
	for _, headers := range [][]header{nil, {{"Authorization", "Basic x"}}} {
		got, err := s.try(http.MethodPut, filePath("team", "p", "1", "f"), "", strings.NewReader("x"), headers...)
		if err != nil {
			s.Fatal(err)
		}
		if challenge, want := got.header.Get("WWW-Authenticate"), `Basic realm="Package registry"`; !strings.HasPrefix(challenge, want) {
			s.Errorf("with the headers %v the challenge is %q, want %q", headers, challenge, want)
		}
	}
}

func config(command, name string) []string {
	if command == "fmt" {
		return []string{name}
	}
	return []string{"--config", name}
}

var siteAddress = regexp.MustCompile(`(?m)^(packages\.example\.com|example\.com|http://localhost:8080|http://:8080) \{`)

// local makes a Caddyfile of a document run in a test's folders, on its port.
func (s *server) local(text string) string {
	s.Helper()
	options, text := splitGlobal(s.placed(text))
	moved := siteAddress.ReplaceAllString(text, fmt.Sprintf("http://127.0.0.1:%d {", s.port))
	if moved == text {
		s.Fatalf("no site address known to the test in:\n%s", text)
	}
	return s.globalWith(options) + strings.ReplaceAll(strings.ReplaceAll(moved,
		"/var/lib/caddy/registry", s.root), "{$REGISTRY_ROOT:/var/lib/caddy/registry}", s.root)
}

// globalWith is the head of a test's Caddyfile with the options of a document's.
func (s *server) globalWith(options string) string {
	head := s.global()
	if strings.Contains(options, "\tadmin ") {
		head = strings.Replace(head, fmt.Sprintf("\tadmin 127.0.0.1:%d\n", s.admin), "", 1)
	}
	return strings.Replace(head, "{\n", "{\n"+options, 1)
}

// placed has files that a Caddyfile of a document names where a test may have them.
func (s *server) placed(text string) string {
	s.Helper()
	const clients, sockets = "/etc/caddy/clients.pem", "/run/caddy/"
	if strings.Contains(text, clients) {
		text = strings.ReplaceAll(text, clients, s.clientAuthority().file)
	}
	if strings.Contains(text, sockets) {
		directory, err := os.MkdirTemp("", "grd") // a socket's path is short
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = os.RemoveAll(directory) })
		text = strings.ReplaceAll(text, sockets, directory+"/")
	}
	return strings.ReplaceAll(text, "/var/log/caddy/", s.dir+"/")
}

// splitGlobal takes the lines of the global options off a Caddyfile.
func splitGlobal(text string) (options, rest string) {
	text, found := strings.CutPrefix(text, "{\n")
	if !found {
		return "", text
	}
	options, rest, _ = strings.Cut(text, "\n}\n")
	return options + "\n", rest
}

// uncommented returns the production form of the example, ready to use.
func uncommented(t testing.TB, text string) string {
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

// TestJSONOfTheDocuments: the handler in directive.md loads as it is.
func TestJSONOfTheDocuments(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t, "docs/directive.md", "json") {
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

// caddyfileWith is the Caddyfile of a document that has a word.
func caddyfileWith(t *testing.T, document, word string) block {
	t.Helper()
	var found []block
	for _, b := range blocks(t, document, "caddyfile") {
		if strings.Contains(b.text, word) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d Caddyfiles of %s have %s, want 1", len(found), document, word)
	}
	return found[0]
}

// TestAuditLogOfTheDocuments: the file that the Caddyfile names gets the changes,
// done and refused.
func TestAuditLogOfTheDocuments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := caddyfileWith(t, "docs/operate.md", "log audit")
	s.start(s.local(strings.Replace(b.text, "generic_registry\n", "generic_registry {\n\t\troot "+s.root+"\n\t}\n", 1)))
	s.want(401, http.MethodPut, filePath("team", "tool", "1", "f"), "", []byte("x"))
	var text string
	s.eventually("the audit log is written", func() bool {
		content, err := os.ReadFile(filepath.Join(s.dir, "registry-audit.log"))
		text = string(content)
		return err == nil && strings.Contains(text, "\n")
	})
	if !strings.Contains(text, `"status":401`) || !strings.Contains(text, `"owner":"team"`) {
		t.Errorf("the audit log is %q, want the refused PUT", text)
	}
}

// TestSocketsAreInTheRuntimeDirectory: systemd makes the directory of every admin
// socket that a Caddyfile names, because the drop-in of README.md says so.
func TestSocketsAreInTheRuntimeDirectory(t *testing.T) {
	t.Parallel()
	dropIn := blocks(t, "README.md", "ini")[0]
	made := regexp.MustCompile(`(?m)^RuntimeDirectory=(\w+)$`).FindStringSubmatch(dropIn.text)
	if made == nil || !strings.HasPrefix(dropIn.text, "[Service]\n") {
		t.Fatalf("%s makes no directory:\n%s", dropIn, dropIn.text)
	}
	sockets := 0
	for _, document := range documents(t) {
		for _, match := range regexp.MustCompile(`admin unix/(\S+)/`).FindAllStringSubmatch(readFile(t, filepath.Join("..", document)), -1) {
			sockets++
			if want := "/run/" + made[1]; match[1] != want {
				t.Errorf("%s has an admin socket in %s, want it in %s", document, match[1], want)
			}
		}
	}
	if sockets < 2 {
		t.Errorf("%d admin sockets are named, want those of README.md and auth.md", sockets)
	}
}

// TestDockerfileBuildsWhatGoModRequires: its images have the Caddy of go.mod. Its
// xcaddy line is held to go.mod with all the others.
func TestDockerfileBuildsWhatGoModRequires(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(output)), "v")
	b := blocks(t, "README.md", "dockerfile")[0]
	images := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(b.text, -1)
	if len(images) != 2 || images[0][1] != "caddy:"+version+"-builder" || images[1][1] != "caddy:"+version {
		t.Errorf("%s is made from %v, want the images of Caddy %s", b, images, version)
	}
}
