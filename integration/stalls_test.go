package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// TestAnUploadMayPauseForItsStallTimeout, and Caddy's own timeout, which is earlier, does not
// count.
//
// Seen to fail over each protocol where the registry only sets deadlines, which Caddy takes when
// they are earlier than its own.
func TestAnUploadMayPauseForItsStallTimeout(t *testing.T) {
	t.Parallel()
	const own = 300 * time.Millisecond
	s := newServer(t)
	port, authority := s.startSecureWith(func(text string) string {
		return inServers(text, "\t\ttimeouts {\n\t\t\tread_body_idle "+own.String()+"\n\t\t}\n")
	}, "upload_stall_timeout 1m")
	certificate, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AppendCertsFromPEM(certificate)
	first := &http.Transport{TLSClientConfig: trust.Clone()}
	defer first.CloseIdleConnections()
	second := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	defer second.CloseIdleConnections()
	third := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer third.Close()
	for protocol, transport := range map[string]http.RoundTripper{"HTTP/1.1": first, "HTTP/2.0": second, "HTTP/3.0": third} {
		t.Run(protocol, func(t *testing.T) {
			content := pattern(1, 400_000)
			body, file := newSlowBody(t, content), filePath("alice", "p", strings.ReplaceAll(protocol, "/", "-"), "f")
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("https://localhost:%d%s", port, file), body)
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth("alice", password)
			go func() {
				<-body.half
				<-time.After(4 * own) // the pause of the client
				close(body.goOn)
			}()
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusCreated || response.Proto != protocol {
				t.Fatalf("%s %d %s", response.Proto, response.StatusCode, text)
			}
			if got := s.do(http.MethodGet, file, "alice", nil); !bytes.Equal(got.body, content) {
				t.Errorf("the file is %d and has %d bytes", got.status, len(got.body))
			}
		})
	}
}

func TestAStalledUploadIsEnded(t *testing.T) {
	t.Parallel()
	for name, idle := range map[string]string{"Caddy's own timeout is later": "1m", "Caddy has no timeout of its own": "-1s"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			site := func(settings ...string) string {
				return inServers(s.site(settings...), "\t\ttimeouts {\n\t\t\tread_body_idle "+idle+"\n\t\t}\n")
			}
			s.start(site("upload_stall_timeout 200ms"))
			wantStallEnded(s)
			s.mustReload(site()) // with time enough
			s.put(filePath("alice", "p", "1", "f"), pattern(1, 100_000))
		})
	}
}

func wantStallEnded(s *server) {
	s.Helper()
	body := newSlowBody(s, pattern(1, 100_000))
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	var got answer
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		got, err = s.tryAt(ctx, s.port, http.MethodPut, filePath("alice", "p", "1", "f"), "alice", body)
	}()
	<-answered
	close(body.goOn)
	if err != nil || got.status != http.StatusRequestTimeout {
		s.Errorf("%d %s, %v", got.status, got.text(), err)
	}
	s.eventually("nothing is left of it", func() bool {
		committed, uploads := s.blobs()
		return len(committed)+len(uploads) == 0
	})
}
