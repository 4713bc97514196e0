package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

func TestHeadersOfADownload(t *testing.T) {
	t.Parallel()
	s := startServer(t, "file_names gitea")
	content := []byte("hello world\n")
	sum := sha256.Sum256(content)
	tag, digest := `"`+hex.EncodeToString(sum[:])+`"`, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":"
	path := filePath("alice", "tool", "1.0", "Setup.exe")

	created := s.put(path, content)
	for name, want := range map[string]string{"ETag": tag, "Repr-Digest": digest, "Location": "", "Content-Length": "0"} {
		if got := created.header.Get(name); got != want {
			t.Errorf("201: %s is %q, want %q", name, got, want)
		}
	}
	if len(created.body) > 0 {
		t.Errorf("201 has a body: %q", created.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		got := s.want(http.StatusOK, method, path, "", nil)
		for name, want := range map[string]string{
			"ETag": tag, "Repr-Digest": digest, "Content-Type": "application/octet-stream", "Content-Length": "12",
			"Content-Disposition": `attachment; filename="Setup.exe"`, "Accept-Ranges": "bytes",
			"Cache-Control": "max-age=0, private, must-revalidate, no-transform", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %s is %q, want %q", method, name, value, want)
			}
		}
		if _, err := http.ParseTime(got.header.Get("Last-Modified")); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	s.want(http.StatusNotModified, http.MethodGet, path, "", nil, header{"If-None-Match", tag})
	if part := s.want(http.StatusPartialContent, http.MethodGet, path, "", nil, header{"Range", "bytes=-6"}, header{"If-Range", tag}); part.text() != "world" {
		t.Errorf("range is %q", part.body)
	}
	s.put(filePath("alice", "tool", "1.0", "a%20b%3B.txt"), content)
	odd := s.want(http.StatusOK, http.MethodGet, filePath("alice", "tool", "1.0", "a%20b%3B.txt"), "", nil)
	if got := odd.header.Get("Content-Disposition"); !strings.Contains(got, `filename="a b;.txt"`) || !strings.Contains(got, "filename*=utf-8''a%20b%3B.txt") {
		t.Errorf("Content-Disposition is %q", got)
	}
}

func TestEncodeLeavesArtifactsAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.site(), "\tgeneric_registry", "\tencode {\n\t\tmatch status 200\n\t}\n\tgeneric_registry", 1))
	content := bytes.Repeat([]byte("compress me "), 10_000)
	path := filePath("alice", "tool", "1.0", "text.txt")
	s.put(path, content)
	got := s.want(http.StatusOK, http.MethodGet, path, "", nil, header{"Accept-Encoding", "gzip"})
	if got.header.Get("Content-Encoding") != "" || !bytes.Equal(got.body, content) || got.header.Get("Accept-Ranges") == "" {
		t.Errorf("headers are %v", got.header)
	}
}

func TestRacingPublishes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filePath("alice", "race", "1.0", "f")
	type result struct {
		client int
		answer answer
		err    error
	}
	results := make(chan result)
	const clients = 8
	for i := range clients {
		go func() {
			got, err := s.try(http.MethodPut, path, "alice", bytes.NewReader(pattern(i, 1<<20)))
			results <- result{i, got, err}
		}()
	}
	winner := -1
	for range clients {
		r := <-results
		switch {
		case r.err != nil:
			t.Error(r.err)
		case r.answer.status == http.StatusCreated && winner < 0:
			winner = r.client
		case r.answer.status != http.StatusConflict:
			t.Errorf("client %d: %d", r.client, r.answer.status)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	s.wantBytes(path, pattern(winner, 1<<20))
}
