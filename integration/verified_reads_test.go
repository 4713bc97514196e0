package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// downloader is a client that downloads: what arrived, the status, and whether it
// was told that this is not all.
type downloader func(s *server, url string, ranges string) (body []byte, status int, complete bool)

// TestVerifiedReadsOverTheWire: with one bit of a blob another, no client has a
// whole response, over HTTP/1.1 and HTTP/2, with curl and with Go; a part is refused.
// The first who asks puts the bytes aside, and publishing brings them back.
func TestVerifiedReadsOverTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.faults = []string{"blob is damaged", "request failed"}
	secure, authority := s.startSecure("verify_reads", "scrub off")
	plain := fmt.Sprintf("http://127.0.0.1:%d", s.port)
	encrypted := fmt.Sprintf("https://localhost:%d", secure)
	seed := 0
	for name, client := range map[string]struct {
		base     string
		download downloader
	}{
		"curl over HTTP/1.1": {plain, curlDownload("--http1.1")},
		"Go over HTTP/1.1":   {plain, goDownload(1, nil)},
		"curl over HTTP/2":   {encrypted, curlDownload("--http2", "--cacert", authority)},
		"Go over HTTP/2":     {encrypted, goDownload(2, trusting(t, authority))},
	} {
		for _, test := range []struct {
			size, at int
			ranges   string
			status   int
		}{
			{700_000, 0, "", http.StatusOK},
			{700_000, 350_000, "", http.StatusOK},
			{700_000, 699_999, "", http.StatusOK},
			{524_289, 524_288, "", http.StatusOK}, // one byte in its last piece
			{1000, 500, "", http.StatusInternalServerError},
			{700_000, 699_999, "0-9", http.StatusInternalServerError},
			{700_000, 699_999, "0-9,20-29", http.StatusInternalServerError},
			{1000, 0, "-1", http.StatusInternalServerError},
		} {
			seed++
			t.Run(fmt.Sprintf("%s/byte %d of %d, range %q", name, test.at, test.size, test.ranges), func(t *testing.T) {
				s, content := s.in(t), pattern(seed, test.size)
				path := filePath("alice", "p", fmt.Sprint(seed), "f")
				s.put(path, content)
				got, status, complete := client.download(s, client.base+path, "")
				if status != http.StatusOK || !complete || !bytes.Equal(got, content) {
					t.Fatalf("a good file: %d, complete %v, %d bytes", status, complete, len(got))
				}
				s.flip(content, test.at)
				before := len(s.quarantined())
				got, status, complete = client.download(s, client.base+path, test.ranges)
				switch {
				case test.status == http.StatusOK && (complete || len(got) >= test.size || !bytes.HasPrefix(content, got[:min(len(got), test.at)])):
					t.Errorf("%d, complete %v, %d bytes of %d", status, complete, len(got), test.size)
				case test.status != http.StatusOK && (status != test.status || string(got) != "internal server error"):
					t.Errorf("%d %q, want %d", status, got, test.status)
				}
				if after := len(s.quarantined()); after != before+1 {
					t.Errorf("%d blobs were put aside", after-before)
				}
				if _, status, _ := client.download(s, client.base+path, test.ranges); status != http.StatusInternalServerError {
					t.Errorf("asked again: %d", status)
				}
				s.put(filePath("alice", "healed", fmt.Sprint(seed), "f"), content)
				if got, status, complete := client.download(s, client.base+path, ""); status != http.StatusOK || !complete || !bytes.Equal(got, content) {
					t.Errorf("healed: %d, complete %v, %d bytes", status, complete, len(got))
				}
			})
		}
	}
	if _, is := s.health(); is.Damaged.Count != 0 {
		t.Errorf("health is %+v", is)
	}
}

// Exit statuses of curl for a response that was cut: fewer bytes than promised, an
// empty answer, a reset stream.
var cutStatuses = []int{18, 52, 56, 92}

func curlDownload(flags ...string) downloader {
	return func(s *server, url, ranges string) ([]byte, int, bool) {
		s.Helper()
		file := filepath.Join(s.TempDir(), "download")
		arguments := append([]string{"--silent", "--output", file, "--write-out", "%{http_code}"}, flags...)
		if ranges != "" {
			arguments = append(arguments, "--range", ranges)
		}
		output, err := exec.Command("curl", append(arguments, url)...).Output()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || !slices.Contains(cutStatuses, exit.ExitCode())) {
			s.Fatalf("curl: %v", err)
		}
		var status int
		if _, err := fmt.Sscan(string(output), &status); err != nil {
			s.Fatalf("curl says %q: %v", output, err)
		}
		body, err2 := os.ReadFile(file)
		if err2 != nil && !isMissing(err2) {
			s.Fatal(err2)
		}
		return body, status, err == nil
	}
}

func goDownload(major int, roots *x509.CertPool) downloader {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableCompression: true}
	return func(s *server, url, ranges string) ([]byte, int, bool) {
		s.Helper()
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, url, nil)
		if err != nil {
			s.Fatal(err)
		}
		if ranges != "" {
			request.Header.Set("Range", "bytes="+ranges)
		}
		response, err := transport.RoundTrip(request)
		if err != nil { // before its head was there
			return nil, 0, false
		}
		defer response.Body.Close()
		if response.ProtoMajor != major {
			s.Errorf("answered over %s", response.Proto)
		}
		body, err := io.ReadAll(response.Body)
		return body, response.StatusCode, err == nil
	}
}

func trusting(t *testing.T, authority string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("no certificate in %s", strings.TrimSpace(string(text)))
	}
	return pool
}
