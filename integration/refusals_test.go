package integration

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Texts of refusals, without the line feed at their end.
const (
	unsafePath   = "unsafe path: no segment may be . or .., or contain a backslash or a control character; segments must be UTF-8 with valid escapes"
	invalidOwner = "invalid owner name: 1 to 255 bytes, no slash, no white space at either end"
	invalidFile  = "invalid filename: at most 255 letters, digits and .-+_; file_names gitea allows more"
	noRoute      = "not found: a file is at {owner}/generic/{package}/{version}/{file} under the prefix"
	slashAtEnd   = "not found: leave the slash at the end of the path out"
	partOfABody  = "Content-Range does not cover the whole body: a part of a file cannot be published"
	codedBody    = "Content-Encoding is not supported: send the file as it is"
)

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
		{"unsafe before method", "POST", api + "alice/generic/tool/%2e%2e/f", "", nil, nil, 400, unsafePath},
		{"unsafe before user", "PUT", api + "alice/generic/tool/a%2F..%2Fb/f", "", nil, nil, 400, unsafePath},
		{"owner before user", "PUT", api + "%20alice/generic/tool/1/f", "", nil, nil, 400, invalidOwner},
		{"owner before a slash at the end", "PUT", api + "%20alice/generic/tool/1/f/", "", nil, nil, 400, invalidOwner},
		{"a slash at the end before method", "POST", path + "/", "", nil, nil, 404, slashAtEnd},
		{"a slash at the end of a file", "GET", path + "/", "", nil, nil, 404, slashAtEnd},
		{"a slash at the end of what is deleted", "DELETE", path + "/", "alice", nil, nil, 404, slashAtEnd},
		{"a slash at the end of a version", "DELETE", versionPath("alice", "tool", "1.0") + "/", "alice", nil, nil, 404, slashAtEnd},
		{"a PUT without a file's name", "PUT", versionPath("alice", "tool", "1.0"), "alice", nil, nil, 405, "method not allowed: this is the path of a version; write the name of a file after it"},
		{"method before user", "POST", path, "", nil, nil, 405, "method not allowed"},
		{"user before names", "PUT", filePath("alice", "t!", "1", "f"), "", nil, nil, 401, "authentication required"},
		{"right before names", "PUT", filePath("alice", "t!", "1", "f"), "bob", nil, nil, 403, "user bob may not write in alice/t!"},
		{"right before cross-site", "PUT", path, "bob", nil, []header{foreign}, 403, "user bob may not write in alice/tool"},
		{"cross-site before names", "PUT", filePath("alice", "t!", "1", "f"), "alice", nil, []header{foreign}, 403, "cross-site request refused"},
		{"cross-site on DELETE", "DELETE", path, "alice", nil, []header{{"Origin", "https://evil.example"}}, 403, "cross-site request refused"},
		{"package before version", "PUT", filePath("alice", "t!", "%20", "f"), "alice", nil, nil, 400, "invalid package name: at most 255 letters, digits and .-+_, not one of these characters alone"},
		{"version before file", "PUT", filePath("alice", "tool", "%20", "!"), "alice", nil, nil, 400, "invalid package version: at most 255 bytes, no white space at either end"},
		{"file before Content-Range", "PUT", filePath("alice", "tool", "1.0", "a!"), "alice", nil, []header{partial}, 400, invalidFile},
		{"names before a copy by checksum", "PUT", filePath("alice", "tool", "1.0", "a!"), "alice", nil, []header{{"X-Checksum-Deploy", "true"}}, 400, invalidFile},
		{"a copy by checksum before coding", "PUT", path, "alice", nil, []header{{"X-Checksum-Deploy", "true"}, {"Content-Encoding", "gzip"}}, 404, "X-Checksum-Deploy is not supported: send the file"},
		{"coding before Content-Range", "PUT", path, "alice", nil, []header{{"Content-Encoding", "identity, gzip"}, partial}, 415, codedBody},
		{"Content-Range before condition", "PUT", path, "alice", nil, []header{partial, {"If-None-Match", "*"}}, 400, partOfABody},
		{"digest syntax before condition", "PUT", path, "alice", nil, []header{{"Content-MD5", "?"}, {"If-None-Match", "*"}}, 400, "malformed Content-MD5 header"},
		{"condition before duplicate", "PUT", path, "alice", nil, []header{{"If-None-Match", "*"}}, 412, "precondition failed: If-None-Match"},
		{"duplicate before size", "PUT", path, "alice", large, nil, 409, "package file already exists"},
		{"size before digest", "PUT", filePath("alice", "tool", "1.0", "g"), "alice", large, []header{wrong}, 413, "file too large: max_file_size is 1024 bytes"},
		{"digest last", "PUT", filePath("alice", "tool", "1.0", "g"), "alice", []byte("x"), []header{wrong}, 400, "digest does not match: the bytes of the request do not have the digest in X-Checksum-Sha256"},
		{"a private owner needs a user", "GET", filePath("secret", "tool", "1.0", "f"), "", nil, nil, 401, "authentication required"},
		{"a private owner has nothing for others", "GET", filePath("secret", "tool", "1.0", "f"), "alice", nil, nil, 404, "package does not exist"},
		{"a private owner is not written by others", "DELETE", filePath("secret", "tool", "1.0", "f"), "alice", nil, nil, 403, "user alice may not delete in secret/tool"},
		{"a missing file", "GET", filePath("alice", "tool", "1.0", "g"), "", nil, nil, 404, "package file does not exist"},
		{"a missing package", "DELETE", versionPath("alice", "tool", "2.0"), "alice", nil, nil, 404, "package does not exist"},
		{"no such route", "GET", api + "alice", "", nil, nil, 404, noRoute},
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

// refusal is a PUT that is refused for what its head says.
type refusal struct {
	name, method, path, user, headers string
	size                              int64
	status                            int
	text                              string
}

// refusals of a server with a max_file_size of 1 GiB, a file at taken, and no
// leave for bob.
func refusals(taken string) []refusal {
	fresh := filePath("alice", "tool", "1.0", "new")
	const size = 4 << 20
	return []refusal{
		{"unsafe path", "PUT", api + "alice/generic/tool/%2e%2e/f", "alice", "", size, 400, unsafePath},
		{"owner", "PUT", api + "%20/generic/tool/1.0/f", "alice", "", size, 400, invalidOwner},
		{"no route", "PUT", api + "alice/npm/tool/1.0/f", "alice", "", size, 404, noRoute},
		{"method", "POST", fresh, "alice", "", size, 405, "method not allowed"},
		{"nobody", "PUT", fresh, "", "", size, 401, "authentication required"},
		{"another user", "PUT", fresh, "bob", "", size, 403, "user bob may not write in alice/tool"},
		{"another site", "PUT", fresh, "alice", "Sec-Fetch-Site: cross-site\r\n", size, 403, "cross-site request refused"},
		{"name", "PUT", filePath("alice", "tool", "1.0", "a%20b"), "alice", "", size, 400, invalidFile},
		{"part of a body", "PUT", fresh, "alice", "Content-Range: bytes 0-4194303/8388608\r\n", size, 400, partOfABody},
		{"digest syntax", "PUT", fresh, "alice", "Repr-Digest: sha-256=x\r\n", size, 400, "malformed Repr-Digest header"},
		{"condition", "PUT", fresh, "alice", "If-Match: *\r\n", size, 412, "precondition failed: If-Match"},
		{"duplicate", "PUT", taken, "alice", "", size, 409, "package file already exists"},
		{"too large", "PUT", fresh, "alice", "", 1<<30 + 1, 413, "file too large: max_file_size is 1073741824 bytes"},
		{"no boundary", "PUT", fresh, "alice", "Content-Type: multipart/form-data\r\n", size, 400, "multipart body has no file part"},
		{"no such version to delete", "DELETE", versionPath("alice", "tool", "9"), "alice", "", size, 404, "package does not exist"},
	}
}

func (r refusal) head(port int, more string) string {
	var credentials string
	if r.user != "" {
		credentials = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(r.user+":"+password)) + "\r\n"
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%sContent-Length: %d\r\n%s\r\n",
		r.method, r.path, port, credentials, r.headers, r.size, more)
}

// TestRefusalsCostNoBody: with Expect no byte of the body is asked for; without
// it a client that sends all before it reads still sees the answer.
func TestRefusalsCostNoBody(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_file_size 1GiB")
	taken := filePath("alice", "tool", "1.0", "f")
	s.put(taken, []byte("x"))
	for _, r := range refusals(taken) {
		t.Run(r.name, func(t *testing.T) { s.in(t).refuses(r) })
	}

	// A disk that is full, after all else.
	s.mustReload(s.site("max_file_size 1GiB", "blobs filesystem {", "\treserve 100PiB", "}"))
	full := refusal{"no room", "PUT", filePath("alice", "tool", "1.0", "new"), "alice", "", 4 << 20, 507, "not enough storage, try again later"}
	form := full
	form.name, form.headers = "no room for a form", "Content-Type: multipart/form-data; boundary=X\r\n"
	for _, r := range append(refusals(taken), full, form) {
		t.Run("on a full disk: "+r.name, func(t *testing.T) { s.in(t).refuses(r) })
	}
	// What never fits is known from its length.
	s.mustReload(s.site())
	full.size = 1<<62 + 1
	s.refuses(full)
}

func (s *server) refuses(r refusal) {
	s.Helper()
	got := s.exchange(r.head(s.port, "Expect: 100-continue\r\n"), nil)
	if got.status != r.status || got.text() != r.text || !got.closes {
		s.Errorf("with Expect: %d %q, closes %v; want %d %q", got.status, got.text(), got.closes, r.status, r.text)
	}
	if r.size > 4<<20 {
		return
	}
	attempts := 3
	if r.status == http.StatusConflict {
		attempts = 20
	}
	for i := range attempts {
		got := s.exchange(r.head(s.port, ""), pattern(i, int(r.size)))
		if got.status != r.status || got.text() != r.text {
			s.Fatalf("without Expect, %d: %d %q", i, got.status, got.text())
		}
	}
}

// TestRefusalsReadNoBody: a client that waits for leave to send its body, and
// sends it after the refusal all the same, is not read.
func TestRefusalsReadNoBody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.site("max_file_size 1GiB"), "\t@credentials", "\tlog\n\t@credentials", 1))
	taken := filePath("alice", "tool", "1.0", "f")
	s.put(taken, []byte("x"))
	all := refusals(taken)
	for _, r := range all {
		connection := s.connect()
		defer connection.Close()
		if _, err := io.WriteString(connection, r.head(s.port, "Expect: 100-continue\r\n")); err != nil {
			t.Fatal(err)
		}
		if got, err := readAnswer(bufio.NewReader(connection), &http.Request{Method: r.method}); err != nil || got.status != r.status {
			t.Errorf("%s: %d, %v", r.name, got.status, err)
		}
		_, _ = connection.Write(pattern(1, 1<<20)) // the server may have closed
	}
	s.eventually("all refusals are in the access log", func() bool { return strings.Count(s.logText(), `"Expect":["100-continue"]`) == len(all) })
	for line := range strings.Lines(s.logText()) {
		if strings.Contains(line, `"Expect":["100-continue"]`) && !strings.Contains(line, `"bytes_read":0,`) {
			t.Errorf("a body was read: %s", line)
		}
	}
}

// TestARefusedUploadOfCurl sees its answer over every protocol.
func TestARefusedUploadOfCurl(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	secure, authority := s.startSecure()
	path := filePath("alice", "tool", "1.0", "f")
	s.put(path, []byte("x"))
	large := filepath.Join(t.TempDir(), "large")
	patternFile(t, large, 8<<20)
	for name, flags := range map[string][]string{
		"HTTP/1.1":                   {"--http1.1", fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path)},
		"HTTP/1.1 without Expect":    {"--http1.1", "--header", "Expect:", fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path)},
		"HTTPS, HTTP/1.1":            {"--http1.1", "--cacert", authority, fmt.Sprintf("https://localhost:%d%s", secure, path)},
		"HTTPS, HTTP/2":              {"--http2", "--cacert", authority, fmt.Sprintf("https://localhost:%d%s", secure, path)},
		"HTTPS, HTTP/2, no length":   {"--http2", "--header", "Content-Length:", "--cacert", authority, fmt.Sprintf("https://localhost:%d%s", secure, path)},
		"HTTPS, HTTP/2, with Expect": {"--http2", "--header", "Expect: 100-continue", "--cacert", authority, fmt.Sprintf("https://localhost:%d%s", secure, path)},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				output, err := exec.CommandContext(t.Context(), "curl", append([]string{"--silent", "--show-error", "--user", "alice:" + password,
					"--upload-file", large, "--write-out", " %{http_code}"}, flags...)...).CombinedOutput()
				if got := strings.Join(strings.Fields(string(output)), " "); err != nil || got != "package file already exists 409" {
					t.Fatalf("%v: %s", err, got)
				}
			}
		})
	}
	s.wantBytes(path, []byte("x"))
}

// connect makes a connection that ends with the patience of the tests.
func (s *server) connect() net.Conn {
	s.Helper()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err == nil {
		err = connection.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		s.Fatal(err)
	}
	return connection
}

// exchange sends a head and a body, then reads the answer.
func (s *server) exchange(head string, body []byte) answer {
	s.Helper()
	connection := s.connect()
	defer connection.Close()
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
