package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersionInTheBinary: a Caddy that is built as xcaddy builds it says which version of the
// module it has, and of which modules of Caddy it consists.
func TestVersionInTheBinary(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	path, caddyVersion := goMod(t)
	s.binary = s.builtAsXcaddy(path, "v1.2.3")
	for _, test := range []struct {
		command []string
		lines   []string // parts that one line has all of, between spaces
	}{
		{[]string{"build-info"}, []string{"dep " + path + " v1.2.3", "dep " + caddyPath + " " + caddyVersion}},
		{[]string{"list-modules", "--versions"}, []string{
			"http.handlers.generic_registry v1.2.3", "generic_registry.metadata.badger v1.2.3", "generic_registry.blobs.filesystem v1.2.3",
			"http.authentication.providers.generic_registry v1.2.3", "admin.api.generic_registry v1.2.3", "generic_registry v1.2.3",
		}},
		{[]string{"list-modules", "--packages", "--skip-standard"}, []string{"http.handlers.generic_registry " + path}},
		{[]string{"version"}, []string{caddyVersion}},
	} {
		output, err := s.caddy(test.command...)
		if err != nil {
			t.Fatalf("caddy %v: %v\n%s", test.command, err, output)
		}
		text := strings.Join(strings.Fields(output), " ")
		for _, line := range test.lines {
			if !strings.Contains(text, line) {
				t.Errorf("caddy %v does not say %q:\n%s", test.command, line, output)
			}
		}
	}
}

// builtAsXcaddy builds a Caddy of which the module is a dependency, of a version.
func (s *server) builtAsXcaddy(path, version string) (binary string) {
	s.Helper()
	repository, err := filepath.Abs("..")
	if err != nil {
		s.Fatal(err)
	}
	dir := s.TempDir()
	writeFile(s, filepath.Join(dir, "go.mod"), strings.Replace(readFile(s, "../go.mod"), "module "+path, "module caddy\n\nrequire "+path+" "+version+"\n\nreplace "+path+" => "+repository, 1))
	writeFile(s, filepath.Join(dir, "go.sum"), readFile(s, "../go.sum"))
	writeFile(s, filepath.Join(dir, "main.go"), readFile(s, "caddy/main.go"))
	binary = filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		s.Fatalf("building: %v\n%s", err, output)
	}
	return binary
}
