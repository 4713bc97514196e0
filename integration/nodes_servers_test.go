//go:build servers

package integration

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// newNode is a Caddy whose names are in PostgreSQL and whose bytes are on S3. It is not
// started.
func newNode(t testing.TB) *server {
	s := newS3Server(t)
	s.faults = append(s.faults, "PostgreSQL")
	return s
}

// onBoth has names in PostgreSQL and bytes on S3, which are deleted at once.
func (s *server) onBoth(database *postgrestest.Server, s3 *servers.S3, settings ...string) string {
	s.Helper()
	return s.site(append(s.onPostgres(database, onS3(s3, "grace off", "part_size 5MiB")), settings...)...)
}

// TestARegistryOnPostgresAndS3 is the life of a registry with nothing of it on the machine:
// what is published is found, listed and deleted, and there again after Caddy was killed, and
// in a Caddy with nothing but the same settings. Another bucket is not taken for this one's.
func TestARegistryOnPostgresAndS3(t *testing.T) {
	t.Parallel()
	database, s3 := postgresServer(t), servers.StartS3(t)
	s := newNode(t)
	s.start(s.onBoth(database, s3, everything...))
	files := map[string][]byte{
		filePath("team", "tool", "1.2.0", "small"):    []byte("small"),
		filePath("team", "tool", "1.10.0", "large"):   pattern(1, 13_000_001),
		filePath("team", "tool", "1.10.0", "chunked"): pattern(2, 13_000_003),
	}
	for path, content := range files {
		body := io.Reader(bytes.NewReader(content))
		if strings.HasSuffix(path, "chunked") {
			body = io.MultiReader(body) // whose length is not known
		}
		if got, err := s.try(http.MethodPut, path, "alice", body); err != nil || got.status != http.StatusCreated {
			t.Fatalf("publishing %s: %d, %v", path, got.status, err)
		}
	}
	check := func(s *server) {
		t.Helper()
		for path, content := range files {
			s.wantBytes(path, content)
		}
		got := s.want(http.StatusPartialContent, http.MethodGet, filePath("team", "tool", "latest", "large"), "bob", nil, header{"Range", "bytes=0-9"})
		if at := got.header.Get("Content-Location"); !strings.Contains(at, "/1.10.0/") {
			t.Errorf("latest is at %q, want 1.10.0", at)
		}
		if _, count := s.list("/api/v1/packages/team", "bob"); count != "2" {
			t.Errorf("%s versions are listed, want 2", count)
		}
	}
	check(s)
	s.kill()
	s.start(s.onBoth(database, s3, everything...))
	check(s)
	again := filePath("team", "tool", "1.2.0", "again")
	s.put(again, []byte("small"))
	s.want(http.StatusNoContent, http.MethodDelete, filePath("team", "tool", "1.10.0", "chunked"), "alice", nil)
	delete(files, filePath("team", "tool", "1.10.0", "chunked"))
	files[again] = []byte("small")
	s.eventually("each content is one object", func() bool { return blobObjects(t, s3) == len(files)-1 })
	if output, err := s.verify(); err != nil {
		t.Errorf("verify: %v\n%s", err, output)
	}
	s.kill()
	elsewhere := newNode(t)
	elsewhere.start(elsewhere.onBoth(database, s3, everything...))
	check(elsewhere)

	other := newNode(t)
	other.faults = append(other.faults, "do not belong together")
	other.launch(other.onBoth(database, servers.StartS3(t), everything...))
	if err := other.ended(); err == nil || !strings.Contains(other.logText(), "do not belong together") {
		t.Errorf("a Caddy with an empty bucket takes the metadata for its own: %v", err)
	}
	check(elsewhere)
	for what, text := range map[string]string{"the first log": s.logText(), "the second": elsewhere.logText()} {
		for _, secret := range []string{servers.Secret, postgrestest.Password} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has a secret", what)
			}
		}
	}
}
