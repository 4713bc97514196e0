package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestValidateTouchesNothing, beside a server that has the root open and for a
// root that is not there yet.
func TestValidateTouchesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	freeze(t, s.process.Process.Pid) // else the database may be following its journal
	before := listing(t, s.root)
	config := filepath.Join(s.dir, "Caddyfile")
	for _, command := range []string{"validate", "adapt"} {
		if output, err := s.caddy(command, "--config", config); err != nil {
			t.Errorf("caddy %s: %v\n%s", command, err, output)
		}
	}
	if after := listing(t, s.root); !slices.Equal(before, after) {
		t.Errorf("before:\n%v\nafter:\n%v", before, after)
	}
	missing := filepath.Join(s.dir, "missing")
	other := filepath.Join(s.dir, "other.Caddyfile")
	if err := os.WriteFile(other, []byte(s.global()+s.siteAt(s.port, missing)), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := s.caddy("validate", "--adapter", "caddyfile", "--config", other); err != nil {
		t.Errorf("caddy validate: %v\n%s", err, output)
	}
	if _, err := os.Stat(missing); !isMissing(err) {
		t.Errorf("the root was made: %v", err)
	}
}

// listing has each file with its size and time.
func listing(t *testing.T, root string) (lines []string) {
	t.Helper()
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			lines = append(lines, fmt.Sprint(path, info.Size(), info.ModTime()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
