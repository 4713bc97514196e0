package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRequireLetsATokenPassToItsRegistryOnly, wherever the registry stands in the site.
//
// Seen to fail with a token passing wherever its path is one of a registry's, and where the
// health and the addresses of Gitea's pages do not count as the registry's.
func TestRequireLetsATokenPassToItsRegistryOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	files := filepath.Join(s.dir, "files")
	for _, name := range []string{"page.html", "private/page.html", "api/packages/page.html", "api/v1/version"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(files, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte("a file of the site"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const (
		registry = "generic_registry {\n\t\troot ROOT\n\t}"
		withAll  = "generic_registry {\n\t\troot ROOT\n\t\tbrowse\n\t\thealth /healthz\n\t}"
		atTop    = "generic_registry {\n\t\troot ROOT\n\t\tprefix /\n\t}"
		file     = "/alice/generic/p/1/f"
		ours     = "/api/packages" + file
	)
	sites := []struct {
		name, block string
		of          string   // the registry's: the path of a file in it
		not         []string // paths of files that are not the registry's
		besides     []string // what the registry answers besides files
	}{
		{"handle_path and a registry at the top", "handle_path /files/* {\n" + atTop + "\n}\nhandle {\nfile_server\n}", "/files" + file, []string{"/page.html", "/private/page.html", "/api/packages/page.html"}, nil},
		{"handle_path and the default prefix", "handle_path /pkg/* {\n" + registry + "\n}\nhandle {\nfile_server\n}", "/pkg" + ours, []string{"/page.html", "/api/packages/page.html"}, nil},
		{"the default prefix, and files behind it", registry + "\nfile_server", ours, []string{"/page.html", "/api/v1/version"}, nil},
		{"files in a handle in front of a registry at the top", "handle /private/* {\nfile_server\n}\nhandle {\n" + atTop + "\n}", file, []string{"/private/page.html"}, nil},
		{"a registry for other methods", "@put method PUT\nhandle @put {\n" + registry + "\n}\nhandle {\nfile_server\n}", "", []string{"/page.html", "/api/packages/page.html"}, nil},
		{"a registry in another site", "file_server", "", []string{"/page.html", "/api/packages/page.html"}, nil},
		{"a registry whose prefix is written in front", "route {\nAUTH\nrewrite * /api/packages{path}\n" + registry + "\n}", file, nil, nil},
		{"a registry in a named route", "invoke registry", ours, nil, nil},
		{"a registry with health and pages", withAll, ours, []string{"/healthz", "/healthz/dead", "/alice/-/projects"}, []string{"/healthz/live", "/alice/-/packages", "/api/v1/version"}},
	}
	text := s.global() + "&(registry) {\n" + registry + "\n}\n"
	ports := make([]int, len(sites))
	const auth = "generic_registry_auth {\n\t\troot ROOT\n\t\trequire\n\t}"
	for i, site := range sites {
		ports[i] = freePort(t)
		block := strings.Replace(site.block, "AUTH", auth, 1)
		if block == site.block {
			block = auth + "\n" + block
		}
		text += fmt.Sprintf("http://127.0.0.1:%d {\nroot %s\n%s\n}\n", ports[i], files, block)
	}
	s.start(strings.ReplaceAll(text+s.tokenSiteAt(s.port, s.root), "ROOT", s.root))
	s.put(ours, []byte("published"))
	token := authorization("Bearer " + s.token("--name", "ci", "--user", "alice"))
	for i, site := range sites {
		t.Run(site.name, func(t *testing.T) {
			get := func(path string, headers ...header) answer {
				got, err := s.tryAt(t.Context(), ports[i], http.MethodGet, path, "", nil, headers...)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if site.of != "" {
				if got := get(site.of, token); got.text() != "published" {
					t.Errorf("with a token, %s is %d %s", site.of, got.status, got.text())
				}
			}
			for _, path := range slices.Concat(site.not, site.besides, []string{site.of}) {
				if got := get("/" + strings.TrimPrefix(path, "/")); got.status != http.StatusUnauthorized {
					t.Errorf("without credentials, %s is %d %s", path, got.status, got.text())
				}
			}
			for _, path := range site.besides {
				if got := get(path, token); got.status != http.StatusOK {
					t.Errorf("with a token, %s is %d %s", path, got.status, got.text())
				}
			}
			for _, path := range site.not {
				if got := get(path, token); got.status != http.StatusUnauthorized || !strings.Contains(got.text(), "in its registry only") {
					t.Errorf("with a token, %s is %d %s", path, got.status, got.text())
				}
			}
		})
	}
}
