package integration

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHeadersOfADownload(t *testing.T) {
	t.Parallel()
	s := startServer(t, "file_names gitea")
	content := []byte("hello world\n")
	sum := sha256.Sum256(content)
	tag, digest := `"`+hex.EncodeToString(sum[:])+`"`, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":"
	path := filePath("alice", "tool", "1.0", "Setup.exe")

	created := s.put(path, content)
	for name, want := range map[string]string{"ETag": tag, "Repr-Digest": digest, "Location": path, "Content-Length": "0"} {
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

// TestOrderOfRefusals sends requests that could be refused for two reasons and
// expects the one that comes first.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_file_size 1KiB", "owner secret {", "\tread @owner", "}")
	path := filePath("alice", "tool", "1.0", "f")
	s.put(path, []byte("x"))
	large := pattern(1, 5000)
	wrong := header{"X-Checksum-Sha256", strings.Repeat("0", 64)}
	foreign := header{"Sec-Fetch-Site", "cross-site"}
	partial := header{"Content-Range", "bytes 0-1/2"}
	for _, test := range []struct {
		name, method, path, user string
		body                     []byte
		headers                  []header
		status                   int
		text                     string
	}{
		{"unsafe before method", "POST", api + "alice/generic/tool/%2e%2e/f", "", nil, nil, 400, "unsafe path"},
		{"unsafe before user", "PUT", api + "alice/generic/tool/a%2F..%2Fb/f", "", nil, nil, 400, "unsafe path"},
		{"owner before user", "PUT", api + "%20alice/generic/tool/1/f", "", nil, nil, 400, "invalid owner name"},
		{"method before user", "POST", path, "", nil, nil, 405, "method not allowed"},
		{"user before names", "PUT", filePath("alice", "t!", "1", "f"), "", nil, nil, 401, "authentication required"},
		{"right before names", "PUT", filePath("alice", "t!", "1", "f"), "bob", nil, nil, 403, "writing to this owner's packages is not allowed"},
		{"right before cross-site", "PUT", path, "bob", nil, []header{foreign}, 403, "writing to this owner's packages is not allowed"},
		{"cross-site before names", "PUT", filePath("alice", "t!", "1", "f"), "alice", nil, []header{foreign}, 403, "cross-site request refused"},
		{"cross-site on DELETE", "DELETE", path, "alice", nil, []header{{"Origin", "https://evil.example"}}, 403, "cross-site request refused"},
		{"package before version", "PUT", filePath("alice", "t!", "%20", "f"), "alice", nil, nil, 400, "invalid package name"},
		{"version before file", "PUT", filePath("alice", "tool", "%20", "!"), "alice", nil, nil, 400, "invalid package version"},
		{"file before Content-Range", "PUT", filePath("alice", "tool", "1.0", "a!"), "alice", nil, []header{partial}, 400, "invalid filename"},
		{"Content-Range before condition", "PUT", path, "alice", nil, []header{partial, {"If-None-Match", "*"}}, 400, "Content-Range is not supported"},
		{"digest syntax before condition", "PUT", path, "alice", nil, []header{{"Content-MD5", "?"}, {"If-None-Match", "*"}}, 400, "malformed digest header"},
		{"condition before duplicate", "PUT", path, "alice", nil, []header{{"If-None-Match", "*"}}, 412, "precondition failed"},
		{"duplicate before size", "PUT", path, "alice", large, nil, 409, "package file already exists"},
		{"size before digest", "PUT", filePath("alice", "tool", "1.0", "g"), "alice", large, []header{wrong}, 413, "file too large"},
		{"digest last", "PUT", filePath("alice", "tool", "1.0", "g"), "alice", []byte("x"), []header{wrong}, 400, "digest does not match"},
		{"a private owner needs a user", "GET", filePath("secret", "tool", "1.0", "f"), "", nil, nil, 401, "authentication required"},
		{"a private owner has nothing for others", "GET", filePath("secret", "tool", "1.0", "f"), "alice", nil, nil, 404, "package does not exist"},
		{"a private owner is not written by others", "DELETE", filePath("secret", "tool", "1.0", "f"), "alice", nil, nil, 403, "writing to this owner's packages is not allowed"},
		{"a missing file", "GET", filePath("alice", "tool", "1.0", "g"), "", nil, nil, 404, "package file does not exist"},
		{"a missing package", "DELETE", versionPath("alice", "tool", "2.0"), "alice", nil, nil, 404, "package does not exist"},
		{"no such route", "GET", api + "alice", "", nil, nil, 404, "not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.do(test.method, test.path, test.user, test.body, test.headers...)
			if got.status != test.status || got.text() != test.text {
				t.Errorf("%d %q, want %d %q", got.status, got.text(), test.status, test.text)
			}
			if got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type is %q", got.header.Get("Content-Type"))
			}
			if challenge := got.header.Get("WWW-Authenticate"); (test.status == 401) != strings.HasPrefix(challenge, "Basic realm=") {
				t.Errorf("WWW-Authenticate is %q", challenge)
			}
		})
	}
	if allow := s.want(http.StatusMethodNotAllowed, "GET", versionPath("alice", "tool", "1.0"), "", nil).header.Get("Allow"); allow != "DELETE" {
		t.Errorf("Allow is %q", allow)
	}
	s.wantBytes(path, []byte("x"))
	s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "tool", "1.0", "g"), "alice", nil)
	// A length that is not known is found out while it is read.
	got, err := s.try(http.MethodPut, filePath("alice", "tool", "1.0", "g"), "alice", io.MultiReader(bytes.NewReader(large)))
	if err != nil || got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %d, %v", got.status, err)
	}
}

func TestDigestsOfUploads(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := []byte("hello world\n")
	m, s1, s256 := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content)
	b64 := base64.StdEncoding.EncodeToString
	right := []header{
		{"Content-MD5", b64(m[:])}, {"X-Checksum-Sha1", hex.EncodeToString(s1[:])}, {"X-Checksum-Sha256", hex.EncodeToString(s256[:])},
		{"Repr-Digest", "sha-256=:" + b64(s256[:]) + ":"}, {"Content-Digest", "sha-256=:" + b64(s256[:]) + ":"}, {"Digest", "SHA-256=" + b64(s256[:])},
	}
	s.put(filePath("alice", "d", "1", "all"), content, right...)
	for i, h := range right {
		name := fmt.Sprint("one-", i)
		s.want(http.StatusBadRequest, http.MethodPut, filePath("alice", "d", "1", name), "alice", []byte("other bytes"), h)
		s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "d", "1", name), "alice", nil)
		s.put(filePath("alice", "d", "1", name), content, h)
	}
	form := "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" + string(content) + "\r\n--X--\r\n"
	whole := md5.Sum([]byte(form))
	contentType := header{"Content-Type", "multipart/form-data; boundary=X"}
	s.put(filePath("alice", "d", "1", "form"), []byte(form), contentType, header{"Content-MD5", b64(whole[:])}, right[2], right[3])
	s.wantBytes(filePath("alice", "d", "1", "form"), content)
	s.want(http.StatusBadRequest, http.MethodPut, filePath("alice", "d", "1", "form2"), "alice", []byte(form), contentType, right[0])
	s.eventually("the refused uploads are gone", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == 1 && len(uploads) == 0
	})
}

// TestRefusalsCostNoBody: with Expect no byte of the body is asked for; without
// it a client that sends all before it reads still sees the answer.
func TestRefusalsCostNoBody(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filePath("alice", "tool", "1.0", "f")
	s.put(path, []byte("x"))
	const size = 4 << 20
	head := func(extra string) string {
		credentials := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
		return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n%s\r\n", path, s.port, credentials, size, extra)
	}
	for i := range 20 {
		got := s.exchange(head("Expect: 100-continue\r\n"), nil)
		if got.status != http.StatusConflict || !got.closes {
			t.Fatalf("with Expect, %d: %d, closes %v", i, got.status, got.closes)
		}
		got = s.exchange(head(""), pattern(i, size))
		if got.status != http.StatusConflict || got.text() != "package file already exists" {
			t.Fatalf("without Expect, %d: %d %q", i, got.status, got.text())
		}
	}
}

// exchange sends a head and a body, then reads the answer.
func (s *server) exchange(head string, body []byte) answer {
	s.Helper()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		s.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(connection, head); err != nil {
		s.Fatal(err)
	}
	if _, err := connection.Write(body); err != nil {
		s.Fatalf("sending the body: %v", err)
	}
	reader := bufio.NewReader(connection)
	if line, err := reader.Peek(len("HTTP/1.1 100")); err != nil || string(line) == "HTTP/1.1 100" {
		s.Fatalf("the server says %q: %v", line, err)
	}
	got, err := readAnswer(reader, &http.Request{Method: http.MethodPut})
	if err != nil {
		s.Fatal(err)
	}
	return got
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
