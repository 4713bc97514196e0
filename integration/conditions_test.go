package integration

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConditions of requests that read and that change.
// Seen to fail with a 412 that has the digests of the file.
func TestConditions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := []byte("hello world\n")
	path, missing := filePath("alice", "c", "1", "f"), filePath("alice", "c", "1", "missing")
	s.put(path, content)
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	modified, err := http.ParseTime(s.want(http.StatusOK, http.MethodHead, path, "", nil).header.Get("Last-Modified"))
	if err != nil {
		t.Fatal(err)
	}
	draft := filePath("alice", "c", "draft", "f")
	s.put(draft+"?draft", content)
	now, before, after := modified.Format(http.TimeFormat), modified.Add(-time.Hour).Format(http.TimeFormat), modified.Add(time.Hour).Format(http.TimeFormat)

	for _, test := range []struct {
		method, path string
		headers      []header
		status       int
	}{
		{"PUT", path, []header{{"If-None-Match", "*"}}, 412},
		{"PUT", path, []header{{"If-None-Match", tag}}, 412},
		{"PUT", path, []header{{"If-None-Match", `"other", W/` + tag}}, 412}, // weak comparison
		{"PUT", path, []header{{"If-None-Match", `"other"`}}, 409},
		{"PUT", path, []header{{"If-Match", tag}}, 409},
		{"PUT", path, []header{{"If-Match", "*"}}, 409},
		{"PUT", path, []header{{"If-Match", `"other"`}}, 412},
		{"PUT", path, []header{{"If-Match", "W/" + tag}}, 412}, // strong comparison
		{"PUT", path, []header{{"If-Unmodified-Since", before}}, 412},
		{"PUT", path, []header{{"If-Unmodified-Since", after}}, 409},
		{"PUT", path, []header{{"If-Match", tag}, {"If-Unmodified-Since", before}}, 409}, // If-Match wins
		{"PUT", missing, []header{{"If-Match", "*"}}, 412},
		{"PUT", missing, []header{{"If-Match", tag}}, 412},
		{"GET", path, []header{{"If-None-Match", tag}}, 304},
		{"GET", path, []header{{"If-None-Match", "W/" + tag}}, 304},
		{"GET", path, []header{{"If-None-Match", `"other"`}, {"If-Modified-Since", now}}, 200}, // If-None-Match wins
		{"GET", path, []header{{"If-Modified-Since", now}}, 304},
		{"GET", path, []header{{"If-Modified-Since", before}}, 200},
		{"GET", path, []header{{"If-Match", `"other"`}, {"Want-Digest", "sha-256"}}, 412},
		{"HEAD", path, []header{{"If-Match", `"other"`}}, 412},
		{"GET", path, []header{{"If-Match", tag}}, 200},
		{"GET", path, []header{{"If-Unmodified-Since", before}}, 412},
		{"HEAD", path, []header{{"If-None-Match", tag}}, 304},
		{"GET", path, []header{{"Range", "bytes=1-2"}, {"If-Range", tag}}, 206},
		{"GET", path, []header{{"Range", "bytes=1-2"}, {"If-Range", `"other"`}}, 200},
		{"GET", path, []header{{"Range", "bytes=1-2"}, {"If-Range", "W/" + tag}}, 200}, // strong comparison
		{"GET", path, []header{{"Range", "bytes=1-2"}, {"If-Range", now}}, 206},
		{"GET", path, []header{{"Range", "bytes=1-2"}, {"If-Range", before}}, 200},
		{"DELETE", path, []header{{"If-Match", `"other"`}}, 412},
		{"DELETE", path, []header{{"If-None-Match", "*"}}, 412},
		{"DELETE", path, []header{{"If-Unmodified-Since", before}}, 412},
		{"DELETE", missing, []header{{"If-Match", tag}}, 404},
		{"DELETE", versionPath("alice", "c", "1"), []header{{"If-Match", tag}}, 412}, // it has no entity tag
		{"DELETE", versionPath("alice", "c", "2"), []header{{"If-Match", tag}}, 404},
		{"DELETE", "/api/v1/packages/alice/generic/c/1", []header{{"If-Match", tag}}, 412},
		{"DELETE", "/api/v1/packages/alice/generic/c/2", []header{{"If-Match", tag}}, 404},
		{"DELETE", "/api/v1/packages/alice/generic/c", []header{{"If-Match", tag}}, 412},
		{"DELETE", draft, []header{{"If-Match", `"other"`}}, 412},
		{"POST", versionPath("alice", "c", "draft") + "?publish", []header{{"If-Match", tag}}, 412}, // it has no entity tag
		{"DELETE", draft, []header{{"If-Match", tag}}, 204},
	} {
		got := s.do(test.method, test.path, "alice", []byte("other"), test.headers...)
		if got.status != test.status {
			t.Errorf("%s %v: %d %s, want %d", test.method, test.headers, got.status, got.text(), test.status)
		}
		if got.status == http.StatusPreconditionFailed {
			s.wantNothingOfAFile(got)
		}
		if got.status == http.StatusNotModified && (len(got.body) > 0 || got.header.Get("ETag") != tag) {
			t.Errorf("%s %v: 304 with ETag %q and %d bytes", test.method, test.headers, got.header.Get("ETag"), len(got.body))
		}
	}
	s.wantBytes(path, content)
	s.put(missing, content, header{"If-None-Match", "*"}) // how a client publishes once
	s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "c", "2", "f"), "alice", nil, header{"If-Match", tag})
	s.want(http.StatusNoContent, http.MethodDelete, path, "alice", nil, header{"If-Match", tag}, header{"If-Unmodified-Since", before})
	s.want(http.StatusNoContent, http.MethodDelete, versionPath("alice", "c", "1"), "alice", nil, header{"If-Match", "*"})
}

// wantNothingOfAFile holds that a refusal has none of the lines that are of a file's bytes.
func (s *server) wantNothingOfAFile(refusal answer) {
	s.Helper()
	for _, name := range []string{"Repr-Digest", "Digest", "X-Checksum-Sha256", "Content-Disposition"} {
		if value := refusal.header.Get(name); value != "" {
			s.Errorf("%d with the %s %q of the file", refusal.status, name, value)
		}
	}
}

// TestRanges: each is answered alone or with others.
// Seen to fail with a 416 that has the digests of the file.
func TestRanges(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := pattern(3, 100_000)
	path := filePath("alice", "r", "1", "f")
	s.put(path, content)
	for _, test := range []struct {
		bytes, contentRange string
		from, to            int
	}{
		{"0-0", "bytes 0-0/100000", 0, 1},
		{"99999-", "bytes 99999-99999/100000", 99_999, 100_000},
		{"70000-200000", "bytes 70000-99999/100000", 70_000, 100_000},
		{"-300", "bytes 99700-99999/100000", 99_700, 100_000},
		{"-200000", "bytes 0-99999/100000", 0, 100_000},
	} {
		got := s.want(http.StatusPartialContent, http.MethodGet, path, "", nil, header{"Range", "bytes=" + test.bytes})
		if got.header.Get("Content-Range") != test.contentRange || !slices.Equal(got.body, content[test.from:test.to]) {
			t.Errorf("%s: %q, %d bytes", test.bytes, got.header.Get("Content-Range"), len(got.body))
		}
		if got.header.Get("Repr-Digest") == "" || got.header.Get("ETag") == "" {
			t.Errorf("%s: no digest of the whole in %v", test.bytes, got.header)
		}
	}
	beyond := s.want(http.StatusRequestedRangeNotSatisfiable, http.MethodGet, path, "", nil, header{"Range", "bytes=100000-"}, header{"Want-Digest", "sha-256"})
	s.wantNothingOfAFile(beyond)
	if got := beyond.header.Get("Content-Range"); got != "bytes */100000" {
		t.Errorf("416 with Content-Range %q", got)
	}

	got := s.want(http.StatusPartialContent, http.MethodGet, path, "", nil, header{"Range", "bytes=0-9,500-599,-1"})
	mediaType, parameters, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/byteranges" {
		t.Fatalf("Content-Type is %q: %v", got.header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(strings.NewReader(string(got.body)), parameters["boundary"])
	for _, want := range [][2]int{{0, 10}, {500, 600}, {99_999, 100_000}} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := io.ReadAll(bufio.NewReader(part))
		if err != nil || !slices.Equal(bytes, content[want[0]:want[1]]) {
			t.Errorf("part %v has %d bytes of range %q, %v", want, len(bytes), part.Header.Get("Content-Range"), err)
		}
		if part.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("part %v is of type %q", want, part.Header.Get("Content-Type"))
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
}
