//go:build servers

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
)

// postgresServer starts PostgreSQL for one test.
func postgresServer(t *testing.T) *postgrestest.Server {
	t.Helper()
	database, err := postgrestest.New()
	if err != nil {
		t.Fatal(err)
	}
	removePostgres(t, database)
	return database
}

// removePostgres removes a server when the test ends, and shows its log where the test failed.
func removePostgres(t testing.TB, database *postgrestest.Server) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of PostgreSQL:\n%s", database.Log())
		}
		if err := database.Remove(); err != nil {
			t.Error(err)
		}
	})
}

// onPostgres is what has a registry keep its metadata in PostgreSQL, with the password in a
// file.
func (s *server) onPostgres(database *postgrestest.Server, settings ...string) []string {
	s.Helper()
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte(postgrestest.Password+"\n"), 0o600); err != nil {
		s.Fatal(err)
	}
	return append([]string{
		"metadata postgres {", "\tdsn " + database.TCP("postgres", false), "\tpassword {file." + secret + "}", "}",
	}, settings...)
}

var everything = []string{"owner team {", "\twrite alice", "\tdelete alice", "}", "releases"}

// TestARegistryOnPostgres: what is published is listed, found, deleted, and there again after
// Caddy was killed. Nobody tells the password.
func TestARegistryOnPostgres(t *testing.T) {
	t.Parallel()
	database := postgresServer(t)
	s := newServer(t)
	site := s.site(s.onPostgres(database, everything...)...)
	s.start(site)
	contents := map[string][]byte{}
	for _, version := range []string{"1.2.0", "1.10.0", "2.0.0-rc.1"} {
		for _, file := range []string{"tool", "README.md"} {
			path := filePath("team", "tool", version, file)
			contents[path] = []byte(version + file)
			s.put(path, contents[path])
		}
	}
	s.want(http.StatusConflict, http.MethodPut, filePath("team", "tool", "1.2.0", "TOOL"), "alice", []byte("other"))
	s.want(http.StatusCreated, http.MethodPut, filePath("team", "tool", "3.0.0", "tool")+"?draft", "alice", []byte("draft"))
	s.want(404, http.MethodGet, filePath("team", "tool", "3.0.0", "tool"), "bob", nil)

	check := func(highest string, total string) {
		t.Helper()
		for path, content := range contents {
			s.wantBytes(path, content)
		}
		got := s.want(200, http.MethodGet, filePath("team", "tool", "latest", "tool"), "bob", nil)
		if at := got.header.Get("Content-Location"); !strings.Contains(at, "/"+highest+"/") {
			t.Errorf("latest is at %q, want %s", at, highest)
		}
		if _, count := s.list("/api/v1/packages/team", "bob"); count != total {
			t.Errorf("%s versions are listed, want %s", count, total)
		}
		s.want(200, http.MethodGet, versionPath("team", "tool", highest)+"/SHA256SUMS", "bob", nil)
	}
	check("1.10.0", "3")
	s.kill()
	s.start(site)
	check("1.10.0", "3")

	s.want(200, http.MethodPost, versionPath("team", "tool", "3.0.0")+"?publish", "alice", nil)
	s.want(204, http.MethodDelete, filePath("team", "tool", "1.10.0", "tool"), "alice", nil)
	s.want(204, http.MethodDelete, versionPath("team", "tool", "1.2.0"), "alice", nil)
	for path := range contents {
		if strings.Contains(path, "/1.2.0/") || strings.HasSuffix(path, "/1.10.0/tool") {
			s.want(404, http.MethodGet, path, "bob", nil)
			delete(contents, path)
		}
	}
	contents[filePath("team", "tool", "3.0.0", "tool")] = []byte("draft")
	check("3.0.0", "3")
	s.kill()
	s.start(site)
	check("3.0.0", "3")

	if output, err := s.verify(); err != nil {
		t.Errorf("verify: %v\n%s", err, output)
	}
	output, err := s.caddy("generic-registry", "backup", "--address", fmt.Sprintf("127.0.0.1:%d", s.admin), filepath.Join(s.dir, "backup"))
	if err != nil || !strings.HasPrefix(output, "full backup of registry") {
		t.Errorf("backup: %v\n%s", err, output)
	}
	output, err = s.caddy("generic-registry", "rebuild", "--config", filepath.Join(s.dir, "Caddyfile"))
	if err == nil || !strings.Contains(output, "keeps no journal") {
		t.Errorf("rebuild: %v\n%s", err, output)
	}
	_, is := s.fromAdmin("/generic_registry/health")
	if strings.Contains(string(is), `"journal"`) {
		t.Errorf("health shows a journal where there is none: %s", is)
	}
	for what, text := range map[string]string{"the log": s.logText(), "health": string(is)} {
		if strings.Contains(text, postgrestest.Password) {
			t.Errorf("%s has the password", what)
		}
	}
	// Other blobs are not this metadata's.
	other := newServer(t)
	other.faults = []string{"do not belong together"}
	other.launch(other.site(other.onPostgres(database, everything...)...))
	if err := other.ended(); err == nil {
		t.Error("a second Caddy with other blobs takes the metadata for its own")
	}
	if !strings.Contains(other.logText(), "do not belong together") {
		t.Errorf("the second Caddy says %s", other.logTail())
	}
}

// TestPostgresDiesUnderPublishes: its first process is killed, and started again. Meanwhile
// requests are 503 with Retry-After, and other sites answer. Every 201 reads back, and
// nothing that was 503 is there.
func TestPostgresDiesUnderPublishes(t *testing.T) {
	t.Parallel()
	database := postgresServer(t)
	s := newServer(t)
	s.faults = []string{"PostgreSQL", "store is not available", "condemned blobs"}
	beside := freePort(t)
	s.start(s.site(s.onPostgres(database, everything...)...) + fmt.Sprintf("http://127.0.0.1:%d {\n\trespond beside\n}\n", beside))
	s.put(filePath("team", "p", "1", "first"), []byte("first"))

	var stopped atomic.Bool
	var published, refused atomic.Int64
	var clients sync.WaitGroup
	answers := make([]map[string]int, 8)
	for i := range answers {
		answers[i] = map[string]int{}
		clients.Go(func() {
			for n := 0; !stopped.Load(); n++ {
				path := filePath("team", "p", fmt.Sprint(i), fmt.Sprint("f", n))
				got, err := s.try(http.MethodPut, path, "alice", strings.NewReader(path))
				if err != nil {
					t.Errorf("publishing: %v", err)
					return
				}
				answers[i][path] = got.status
				switch got.status {
				case http.StatusCreated:
					published.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
					if got.header.Get("Retry-After") == "" {
						t.Error("a 503 without Retry-After")
					}
					if strings.Contains(got.text(), "PostgreSQL") || strings.Contains(got.text(), "SQLSTATE") {
						t.Errorf("a client reads %q", got.text())
					}
					time.Sleep(20 * time.Millisecond) // a client that heeds it, a little
				default:
					t.Errorf("publishing: %d %s", got.status, got.text())
				}
			}
		})
	}
	more := func() {
		t.Helper()
		at := published.Load()
		s.eventually("more is published", func() bool { return published.Load() > at+20 })
	}
	for range 2 {
		more()
		if err := database.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// What was being committed is answered when PostgreSQL is there again.
		first := filePath("team", "p", "1", "first")
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			s.eventually("503 to "+method, func() bool { return s.do(method, first, "alice", []byte("again")).status == 503 })
			if got := s.want(503, method, first, "alice", []byte("again")); got.header.Get("Retry-After") == "" {
				t.Errorf("a 503 to %s has no Retry-After", method)
			}
		}
		if got, err := s.tryAt(t.Context(), beside, http.MethodGet, "/", "", nil); err != nil || got.text() != "beside" {
			t.Errorf("the site beside answers %q, %v", got.text(), err)
		}
		s.eventually("PostgreSQL starts", func() bool { return database.Start() == nil })
	}
	more()
	stopped.Store(true)
	clients.Wait()
	for _, all := range answers {
		for path, status := range all {
			switch got := s.do(http.MethodGet, path, "alice", nil); {
			case status == http.StatusCreated && (got.status != 200 || string(got.body) != path):
				t.Errorf("%s was published, and is %d %q", path, got.status, got.body)
			case status != http.StatusCreated && got.status != 404:
				t.Errorf("%s was refused with %d, and is %d", path, status, got.status)
			}
		}
	}
	t.Logf("%d published, %d refused with 503", published.Load(), refused.Load())
	if output, err := s.verify(); err != nil {
		t.Errorf("verify: %v\n%s", err, output)
	}
}

// TestCaddyStartsWithoutPostgres: Caddy starts without its database, and the registry is there as
// soon as that is. What an administrator must mend keeps a configuration from starting.
func TestCaddyStartsWithoutPostgres(t *testing.T) {
	t.Parallel()
	database := postgresServer(t)
	if err := database.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	s.faults = []string{"PostgreSQL"}
	s.start(s.site(s.onPostgres(database, everything...)...))
	got := s.want(503, http.MethodPut, filePath("team", "p", "1", "f"), "alice", []byte("x"))
	if got.header.Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
	if err := database.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the registry is open", func() bool {
		status, is := s.health()
		return status == 200 && is.Ready
	})
	s.put(filePath("team", "p", "1", "f"), []byte("x"))
	wrong := strings.Replace(strings.Join(s.onPostgres(database, everything...), "\n\t\t"), "{file."+filepath.Join(s.dir, "secret")+"}", "wrong-of-a-test", 1)
	wrong = strings.Replace(wrong, "metadata postgres {", "metadata postgres {\n\t\t\tschema another", 1)
	err := s.reload(s.global() + s.siteAt(s.port, filepath.Join(s.dir, "another"), wrong))
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("a wrong password: %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "wrong-of-a-test") {
		t.Errorf("the error has the password: %v", err)
	}
	s.wantBytes(filePath("team", "p", "1", "f"), []byte("x"))
	var level struct{ Level, Msg string }
	warned := false
	for line := range strings.Lines(s.logText()) {
		if json.Unmarshal([]byte(line), &level) == nil && level.Level == "warn" && strings.Contains(level.Msg, "the password of the database is written in the configuration") {
			warned = true
		}
		if strings.Contains(line, "wrong-of-a-test") && !strings.Contains(line, "config") {
			t.Errorf("the log has the password: %s", line)
		}
	}
	if !warned {
		t.Error("nobody warns of a password in the configuration")
	}
}
