package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"testing"
	"time"
)

const api = "/api/packages/"

func filePath(owner, pkg, version, file string) string {
	return api + owner + "/generic/" + pkg + "/" + version + "/" + file
}

func versionPath(owner, pkg, version string) string {
	return api + owner + "/generic/" + pkg + "/" + version
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   []byte
	closes bool // the connection

	interim []int // the 1xx before it; the client of net/http hides them
}

func (a answer) text() string { return string(bytes.TrimSpace(a.body)) }

// newClient keeps connections as a busy client does.
func newClient() *http.Client {
	return &http.Client{
		Timeout:   2 * patience,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, ExpectContinueTimeout: time.Second, DisableCompression: true},
	}
}

// header is a name and a value of a request.
type header struct{ name, value string }

// try sends a request as a user, or as nobody.
func (s *server) try(method, path, user string, body io.Reader, headers ...header) (answer, error) {
	return s.tryAt(context.Background(), s.port, method, path, user, body, headers...)
}

func (s *server) tryAt(ctx context.Context, port int, method, path, user string, body io.Reader, headers ...header) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), body)
	if err != nil {
		return answer{}, err
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	for _, h := range headers {
		request.Header.Add(h.name, h.value)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: content}, err
}

func (s *server) do(method, path, user string, body []byte, headers ...header) answer {
	s.Helper()
	got, err := s.try(method, path, user, bytes.NewReader(body), headers...)
	if err != nil {
		s.Fatalf("%s %s: %v\n%s", method, path, err, s.logTail())
	}
	return got
}

func (s *server) want(status int, method, path, user string, body []byte, headers ...header) answer {
	s.Helper()
	got := s.do(method, path, user, body, headers...)
	if got.status != status {
		s.Fatalf("%s %s as %q: %d %s, want %d\n%s", method, path, user, got.status, got.text(), status, s.logTail())
	}
	return got
}

func (s *server) put(path string, body []byte, headers ...header) answer {
	s.Helper()
	return s.want(http.StatusCreated, http.MethodPut, path, "alice", body, headers...)
}

func (s *server) wantBytes(path string, content []byte) {
	s.Helper()
	got := s.want(http.StatusOK, http.MethodGet, path, "alice", nil)
	if !bytes.Equal(got.body, content) {
		s.Fatalf("%s: %d bytes, not the %d published", path, len(got.body), len(content))
	}
}

func ignoreMissing(err error) error {
	if err == nil || isMissing(err) {
		return nil
	}
	return err
}

// pattern is content that differs at every place and for every seed.
func pattern(seed, size int) []byte {
	content := make([]byte, size)
	state := uint64(seed)*0x9E3779B97F4A7C15 + 1
	for i := range content {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		content[i] = byte(state)
	}
	return content
}

// slowBody sends its first half, says so, and the rest when told.
type slowBody struct {
	testing.TB
	content []byte
	half    chan struct{} // closed when the first half was sent
	goOn    chan struct{}
	sent    int
}

func newSlowBody(t testing.TB, content []byte) *slowBody {
	return &slowBody{TB: t, content: content, half: make(chan struct{}), goOn: make(chan struct{})}
}

func (b *slowBody) Read(p []byte) (int, error) {
	middle := len(b.content) / 2
	switch {
	case b.sent < middle:
		n := copy(p, b.content[b.sent:middle])
		b.sent += n
		return n, nil
	case b.sent == middle:
		close(b.half)
		<-b.goOn
	case b.sent == len(b.content):
		return 0, io.EOF
	}
	n := copy(p, b.content[b.sent:])
	b.sent += n
	return n, nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
