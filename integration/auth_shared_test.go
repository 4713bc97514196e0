package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProvidersThatShareAHandler with generic_registry: its users and theirs are themselves in
// each request, in whatever order Caddy asks, and nobody is refused. Without require, when
// nobody would pass, the configuration is refused.
//
// Seen to fail with the configuration taken. No other provider of stock Caddy has credentials
// beside Authorization, so that the users who would be anonymous at random are not here.
func TestProvidersThatShareAHandler(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite("owner team {", "\tread ci carol", "}"))
	got, err := s.tryAt(t.Context(), s.admin, http.MethodGet, "/config/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := got.text()
	own := `"providers":{"generic_registry":{`
	if strings.Count(text, own) != 1 {
		t.Fatalf("the configuration is %s", text)
	}
	other := fmt.Sprintf(`"providers":{"http_basic":{"accounts":[{"username":"carol","password":%q}]},"generic_registry":{`, passwordHash)
	name := filepath.Join(s.dir, "shared.json")
	shared := func(settings string) {
		if err := os.WriteFile(name, []byte(strings.Replace(text, own, other+settings, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shared("")
	if output, err := s.caddy("validate", "--config", name); err == nil || !strings.Contains(output, `write \"require\": true, or give generic_registry an authentication handler of its own`) {
		t.Errorf("without require: %v\n%s", err, output)
	}
	shared(`"require":true,`)
	if output, err := s.caddy("reload", "--config", name, "--address", fmt.Sprintf("127.0.0.1:%d", s.admin)); err != nil {
		t.Fatalf("with require: %v\n%s", err, output)
	}
	token := authorization("Bearer " + s.token("--name", "ci", "--user", "ci"))
	path := filePath("team", "p", "1", "f")
	for range 30 {
		s.want(404, http.MethodGet, path, "carol", nil)
		s.want(404, http.MethodGet, path, "", nil, token)
		s.want(403, http.MethodPut, path, "carol", []byte("x"))
		s.want(401, http.MethodGet, path, "", nil)
	}
}
