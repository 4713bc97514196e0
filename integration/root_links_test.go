package integration

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestARootAndALinkToItAreOne registry: for two sites, for generic_registry_auth and for
// a command.
func TestARootAndALinkToItAreOne(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	link, second, other := filepath.Join(s.dir, "link"), filepath.Join(s.dir, "second"), freePort(t)
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, second} {
		if err := os.Symlink(s.root, name); err != nil {
			t.Fatal(err)
		}
	}
	auth := strings.Replace(s.tokenSiteAt(s.port, s.root), "root "+s.root, "root "+link, 1)
	s.start(s.global() + auth + s.siteAt(other, second))
	content := pattern(1, 1000)
	s.put(filePath("alice", "p", "1", "f"), content)
	got, err := s.tryAt(t.Context(), other, http.MethodGet, filePath("alice", "p", "1", "f"), "", nil)
	if err != nil || got.status != http.StatusOK || !bytes.Equal(got.body, content) {
		t.Errorf("through the link: got %d with %d bytes, %v; want 200 with %d", got.status, len(got.body), err, len(content))
	}
	token := s.token("--root", link, "--name", "ci", "--user", "alice", "--scope", "write")
	got, err = s.try(http.MethodPut, filePath("alice", "p", "1", "g"), "", strings.NewReader("x"), header{"Authorization", basic("alice", token)})
	if err != nil || got.status != http.StatusCreated {
		t.Errorf("with a token of the link: got %d %s, %v; want 201", got.status, got.text(), err)
	}
	s.kill()
	if output, err := s.registryCommand("verify", "--offline", "--root", link); err != nil {
		t.Errorf("verify --offline: %v\n%s", err, output)
	}
}
