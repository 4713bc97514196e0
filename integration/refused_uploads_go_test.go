package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// zeros is content that costs nothing to make.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestRefusedUploadsOfGo: clients of net/http stop sending at a refusal and wait for the
// end of the stream.
func TestRefusedUploadsOfGo(t *testing.T) {
	t.Parallel()
	s := startFronted(t)
	certificate, err := os.ReadFile(s.authority)
	if err != nil {
		t.Fatal(err)
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AppendCertsFromPEM(certificate)
	second := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	defer second.CloseIdleConnections()
	third := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer third.Close()
	for protocol, transport := range map[string]http.RoundTripper{"HTTP/2.0": second, "HTTP/3.0": third} {
		t.Run(protocol, func(t *testing.T) {
			for _, u := range refusedUploads(s.secure, s.path) {
				start := time.Now()
				got, err := send(transport, u)
				if err != nil || got != protocol+" "+u.want {
					t.Errorf("%d bytes, chunked %v, as %q: %q, %v; want %q", u.Size, u.Chunked, u.User, got, err, u.want)
				}
				t.Logf("%d bytes, %.3s: %v", u.Size, u.want, time.Since(start).Round(time.Millisecond))
			}
			if protocol == "HTTP/2.0" {
				return
			}
			// HTTP/3 cannot tell before its end that there is neither a length nor a body.
			got, err := send(transport, upload{URL: s.secure + filePath("alice", "p", "1", "f"), User: "alice", Password: password, Chunked: true})
			if want := protocol + " 411"; err != nil || !strings.HasPrefix(got, want) {
				t.Errorf("no length and no body: %q, %v; want %s", got, err, want)
			}
		})
	}
	output, err := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--http2", "--cacert", s.authority, "--user", "alice:"+password,
		"--request", "PUT", "--write-out", "%{http_code}", s.secure+filePath("alice", "p", "1", "f")).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(output), "411") {
		t.Errorf("curl over HTTP/2 without length and body: %s, %v", output, err)
	}
	s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "p", "1", "f"), "alice", nil)
}

// send returns protocol, status and text of an answer.
func send(transport http.RoundTripper, u upload) (string, error) {
	request, err := http.NewRequest(http.MethodPut, u.URL, io.NopCloser(io.LimitReader(zeros{}, u.Size)))
	if err != nil {
		return "", err
	}
	request.ContentLength = u.Size
	if u.Chunked {
		request.ContentLength = -1
	}
	if u.User != "" {
		request.SetBasicAuth(u.User, u.Password)
	}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.Proto, " ", response.StatusCode, " ", strings.TrimSpace(string(text))), err
}

// TestWgetAnswersAChallenge: wget sends no password before a 401, and the whole file
// with and without it.
func TestWgetAnswersAChallenge(t *testing.T) {
	t.Parallel()
	s := startFronted(t)
	local := filepath.Join(t.TempDir(), "upload")
	patternFile(t, local, 40e6)
	wget := func() (string, int) {
		command := exec.CommandContext(t.Context(), "wget", "--no-verbose", "--tries=1", "--content-on-error", "--output-document=-", "--method=PUT",
			"--user=alice", "--password="+password, "--body-file="+local, s.plain+filePath("alice", "wget", "1", "f"))
		output, err := command.CombinedOutput()
		if err != nil && command.ProcessState == nil {
			t.Fatal(err)
		}
		return string(output), command.ProcessState.ExitCode()
	}
	if output, code := wget(); code != 0 {
		t.Errorf("exit status %d: %s", code, output)
	}
	if output, code := wget(); code != 8 || !strings.Contains(output, "package file already exists") {
		t.Errorf("a second time: exit status %d, want 8 and the reason: %s", code, output)
	}
}

// TestCaddyStopsWhileARefusedUploadGoesOn: what is thrown away holds nobody up.
func TestCaddyStopsWhileARefusedUploadGoesOn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filePath("alice", "tool", "1", "f")
	s.put(path, []byte("x"))
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := fmt.Fprintf(connection, "PUT %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Length: 1000000000\r\n\r\n", path, basic("alice", password)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(connection, make([]byte, len("HTTP/1.1 409"))); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGTERM)
	go func() { // as a client that does not read
		_, _ = io.Copy(connection, zeros{}) // until the server closes the connection
	}()
	if err := s.ended(); err != nil {
		t.Error(err)
	}
}

// TestAPrefixThatIsStrippedBefore is no success, and the log says once why.
func TestAPrefixThatIsStrippedBefore(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.site(), "\tgeneric_registry {", "\thandle_path /api/packages/* {\n\tgeneric_registry {", 1) + "}\n")
	for range 3 {
		got := s.want(http.StatusNotFound, http.MethodPut, filePath("alice", "tool", "1", "f"), "alice", []byte("x"))
		if got.text() != "not found: packages are under /api/packages/" {
			t.Errorf("the text is %q", got.text())
		}
	}
	if told := strings.Count(s.logText(), "a request is not under the registry's prefix"); told != 1 {
		t.Errorf("the log tells it %d times, want once\n%s", told, s.logTail())
	}
}
