package integration

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

type errorRouteTest struct {
	name, method, file string
	body               []byte
	want               string
}

// TestErrorRoutesLeaveThe401OfCredentials as it is, whatever they do: write another answer, or
// break the connection, as a proxy does that cannot pass its answer on.
//
// Seen to fail without the length of the answer, and over HTTP/1 without its flush, and where
// it does not say that the connection is closed.
func TestErrorRoutesLeaveThe401OfCredentials(t *testing.T) {
	t.Parallel()
	s := startFronted(t, `	handle_errors {
		@abort path */abort
		abort @abort
		header X-Styled yes
		respond "styled {err.status_code}" 200
	}`)
	certificate, err := os.ReadFile(s.authority)
	if err != nil {
		t.Fatal(err)
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AppendCertsFromPEM(certificate)
	first := new(http.Transport)
	defer first.CloseIdleConnections()
	second := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	defer second.CloseIdleConnections()
	third := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer third.Close()
	const text = "authentication failed: wrong user or password, or a token that is unknown, expired or revoked\n"
	for _, over := range []struct {
		protocol, site string
		transport      http.RoundTripper
	}{{"HTTP/1.1", s.plain, first}, {"HTTP/2.0", s.secure, second}, {"HTTP/3.0", s.secure, third}} {
		tests := []errorRouteTest{
			{"no body", http.MethodGet, "f", nil, text},
			{"no body and no answer's", http.MethodHead, "f", nil, ""},
			{"a small body", http.MethodPut, "f", pattern(1, 100), text},
			{"a large body", http.MethodPut, "f", pattern(1, 3_000_000), text},
		}
		if over.protocol == "HTTP/1.1" {
			// A stream that is broken ends with an error behind its answer.
			tests = append(tests, errorRouteTest{"a route that breaks the connection", http.MethodGet, "abort", nil, text},
				errorRouteTest{"the same after a body", http.MethodPut, "abort", pattern(1, 100), text})
		}
		for _, test := range tests {
			t.Run(over.protocol+", "+test.name, func(t *testing.T) {
				request, err := http.NewRequestWithContext(t.Context(), test.method, over.site+filePath("alice", "p", "1", test.file), strings.NewReader(string(test.body)))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer grt_wrong")
				response, err := over.transport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				got, err := io.ReadAll(response.Body)
				if err != nil || response.Proto != over.protocol || response.StatusCode != http.StatusUnauthorized || string(got) != test.want || response.Header.Get("X-Styled") != "" {
					t.Errorf("%s %d %q %v, %v; want 401 %q", response.Proto, response.StatusCode, got, response.Header, err, test.want)
				}
				if over.protocol == "HTTP/1.1" && !response.Close {
					t.Error("the answer does not say that the connection is closed")
				}
				if length := response.ContentLength; length != int64(len(text)) {
					t.Errorf("the length is %d, want %d", length, len(text))
				}
			})
		}
	}
}
