package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const productionHost = "packages.example.com"

// secureServer is a server of the production form of Caddyfile.example, whose certificate
// comes from an ACME server (RFC 8555).
type secureServer struct {
	*server
	secure int // the port of HTTPS
	trust  *tls.Config
	// options are the global ones, without their braces.
	options string
}

// startCertified starts a Caddy as ACME server, and another that gets its certificate there.
func startCertified(t *testing.T, options string) *secureServer {
	s := &secureServer{server: newServer(t), secure: freePort(t)}
	directory, root := s.startAuthority()
	s.options = fmt.Sprintf("\thttp_port %d\n\thttps_port %d\n\tacme_ca %s\n\tacme_ca_root %s\n%s", s.port, s.secure, directory, root, options)
	s.launch(s.production(""))
	certificate, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	s.trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: productionHost}
	s.trust.RootCAs.AppendCertsFromPEM(certificate)
	s.eventually("there is a certificate", func() bool { return s.serial() != "" })
	return s
}

// startAuthority starts a Caddy as ACME server, which asks for challenges where the name of
// the site leads: to the port of the server for plain HTTP.
func (s *secureServer) startAuthority() (directory, root string) {
	s.Helper()
	authority := newServer(s)
	// A proxy, in place of a DNS server, leads to the site.
	names := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := authority.client.Do(s.challenge(r))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // the authority may be gone
	}))
	s.Cleanup(names.Close)
	authority.configure = func(command *exec.Cmd) { command.Env = append(command.Env, "HTTP_PROXY="+names.URL) }
	secure := freePort(s)
	authority.start(strings.Replace(authority.global(), "{\n", fmt.Sprintf("{\n\tskip_install_trust\n\thttp_port %d\n", authority.port), 1) +
		fmt.Sprintf("http://127.0.0.1:%d {\n\trespond ok\n}\nhttps://localhost:%d {\n\ttls internal\n\tacme_server {\n\t\tchallenges http-01\n\t\tlifetime 5m\n\t\tallow {\n\t\t\tdomains %s\n\t\t}\n\t}\n}\n",
			authority.port, secure, productionHost))
	root = filepath.Join(authority.dir, "data", "caddy", "pki", "authorities", "local", "root.crt")
	return fmt.Sprintf("https://localhost:%d/acme/local/directory", secure), root
}

// challenge is the request of an ACME server, as its proxy sends it on.
func (s *secureServer) challenge(r *http.Request) *http.Request {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, r.URL.Path), nil)
	if err != nil {
		s.Error(err)
		return nil
	}
	request.Host = strings.TrimSuffix(r.Host, ".")
	return request
}

// production is Caddyfile.example's production form with a line more in the registry.
func (s *secureServer) production(line string) string {
	s.Helper()
	text := uncommented(s, readFile(s, "../Caddyfile.example"))
	for _, change := range [][2]string{
		{"/var/lib/caddy/registry", s.root},
		{"$2a$14$6Vs4J6vu4VcEO0TNMfUXKuTxRYCaqVEQqnRKPDKwWfKmZxGqfBR5W", passwordHash},
		{"\t\tmax_file_size 10GiB\n", "\t\tmax_file_size 10GiB\n" + line},
	} {
		if !strings.Contains(text, change[0]) {
			s.Fatalf("the production form of the example has no %q:\n%s", change[0], text)
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	return strings.Replace(s.global(), "{\n", "{\n"+s.options, 1) + text
}

// serial is the serial number of the certificate that a new connection sees, empty when
// there is none that is trusted.
func (s *secureServer) serial() string {
	connection, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.secure), s.trust)
	if err != nil {
		return ""
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// transports speak one version of HTTP each.
func (s *secureServer) transports() map[string]http.RoundTripper {
	address := fmt.Sprintf("127.0.0.1:%d", s.secure)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	first := &http.Transport{TLSClientConfig: s.trust.Clone(), DialContext: dial, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	second := &http.Transport{TLSClientConfig: s.trust.Clone(), DialContext: dial, ForceAttemptHTTP2: true}
	third := &http3.Transport{TLSClientConfig: s.trust.Clone(), Dial: func(ctx context.Context, _ string, trust *tls.Config, config *quic.Config) (*quic.Conn, error) {
		return quic.DialAddrEarly(ctx, address, trust, config)
	}}
	s.Cleanup(func() {
		first.CloseIdleConnections()
		second.CloseIdleConnections()
		if err := third.Close(); err != nil {
			s.Error(err)
		}
	})
	return map[string]http.RoundTripper{"HTTP/1.1": first, "HTTP/2.0": second, "HTTP/3.0": third}
}

// over sends a request as alice over one version of HTTP.
func (s *secureServer) over(protocol string, transport http.RoundTripper, method, path string, body io.Reader, headers ...header) (answer, error) {
	request, err := http.NewRequest(method, "https://"+productionHost+path, body)
	if err != nil {
		return answer{}, err
	}
	request.SetBasicAuth("alice", password)
	for _, h := range headers {
		request.Header.Add(h.name, h.value)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	if response.Proto != protocol {
		return answer{}, fmt.Errorf("answered over %s, want %s", response.Proto, protocol)
	}
	content, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: content}, err
}

// errCut is how a client of the tests breaks an upload off.
var errCut = errors.New("the client is gone")

// TestAutomaticTLS: the production form of Caddyfile.example gets its certificate from an
// ACME server, and files come and go over it byte for byte in every version of HTTP: whole,
// in ranges, after transfers that were cut, and while a reload goes on.
func TestAutomaticTLS(t *testing.T) {
	t.Parallel()
	s := startCertified(t, "")
	wantLogged(s, "certificate obtained successfully", productionHost)
	size := 3_000_000
	if isLong() {
		size = 300_000_000
	}
	content := pattern(1, size)
	for protocol, transport := range s.transports() {
		t.Run(protocol, func(t *testing.T) {
			path := filePath("team", "tool", protocol[5:], "f")
			cut := io.MultiReader(strings.NewReader(string(content[:size/2])), failingWith{errCut})
			// A client of HTTP/3 still hears what is said of a stream that it ended.
			if got, err := s.over(protocol, transport, http.MethodPut, path, cut); err == nil && got.status != http.StatusBadRequest {
				t.Fatalf("an upload that is cut is answered %d %s", got.status, got.text())
			}
			if got, err := s.over(protocol, transport, http.MethodGet, path, nil); err != nil || got.status != http.StatusNotFound {
				t.Fatalf("after an upload that was cut: %d, %v; want 404", got.status, err)
			}

			// The first half is sent before the reload, the second after it.
			body, done := newSlowBody(t, content), make(chan error, 1)
			go func() {
				got, err := s.over(protocol, transport, http.MethodPut, path, body)
				if err == nil && got.status != http.StatusCreated {
					err = fmt.Errorf("%d %s", got.status, got.text())
				}
				done <- err
			}()
			<-body.half
			s.mustReload(s.production("\t\tmax_uploads 100\n\t\tmax_user_uploads 50\n"))
			s.mustReload(s.production(""))
			close(body.goOn)
			if err := <-done; err != nil {
				t.Fatalf("an upload during a reload: %v", err)
			}
			s.wantOver(t, protocol, transport, path, http.StatusOK, string(content))
			for _, r := range [][2]int{{0, 1}, {1000, size / 2}, {size / 2, size}, {size - 1, size}} {
				s.wantOver(t, protocol, transport, path, http.StatusPartialContent, string(content[r[0]:r[1]]), header{"Range", fmt.Sprintf("bytes=%d-%d", r[0], r[1]-1)})
			}
			s.wantContinued(t, transport, path, content)
		})
	}
}

// failingWith is a body that ends with an error.
type failingWith struct{ error }

func (f failingWith) Read([]byte) (int, error) { return 0, f.error }

// wantOver wants a status and a body.
func (s *secureServer) wantOver(t *testing.T, protocol string, transport http.RoundTripper, path string, status int, content string, headers ...header) {
	t.Helper()
	got, err := s.over(protocol, transport, http.MethodGet, path, nil, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != status || string(got.body) != content {
		t.Fatalf("GET with %v: %d and %d bytes, want %d and %d bytes, the published ones", headers, got.status, len(got.body), status, len(content))
	}
}

// wantContinued cuts a download, and downloads the rest under the condition that the file is
// still the same.
func (s *secureServer) wantContinued(t *testing.T, transport http.RoundTripper, path string, content []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+productionHost+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	came := make([]byte, len(content)/3)
	if _, err := io.ReadFull(response.Body, came); err != nil {
		t.Fatal(err)
	}
	cancel()
	request = request.Clone(t.Context())
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(came)))
	request.Header.Set("If-Range", response.Header.Get("ETag"))
	rest, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Body.Close()
	tail, err := io.ReadAll(rest.Body)
	if err != nil || rest.StatusCode != http.StatusPartialContent || string(came)+string(tail) != string(content) {
		t.Errorf("after a cut: %s with %d bytes, %v; want the missing %d", rest.Status, len(tail), err, len(content)-len(came))
	}
}

// TestRenewalDuringAnUpload: a certificate is renewed while uploads are in progress, new
// connections see the new one, and the uploads are not disturbed.
func TestRenewalDuringAnUpload(t *testing.T) {
	t.Parallel()
	// A certificate of 5 minutes is renewed when less than 99 % of its life is left.
	s := startCertified(t, "\trenew_interval 500ms\n\trenewal_window_ratio 0.99\n")
	content := pattern(2, 400_000)
	begun := s.serial()
	var bodies []*slowBody
	done := make(chan error)
	for protocol, transport := range s.transports() {
		body := newSlowBody(t, content)
		go func() {
			got, err := s.over(protocol, transport, http.MethodPut, filePath("team", "renewed", protocol[5:], "f"), body)
			if err == nil && got.status != http.StatusCreated {
				err = fmt.Errorf("%d %s", got.status, got.text())
			}
			done <- err
		}()
		<-body.half
		bodies = append(bodies, body)
	}
	s.eventually("the certificate is another one", func() bool { serial := s.serial(); return serial != "" && serial != begun })
	wantLogged(s, "certificate renewed successfully", productionHost)
	for _, body := range bodies {
		close(body.goOn)
	}
	for range bodies {
		if err := <-done; err != nil {
			t.Errorf("an upload during a renewal: %v", err)
		}
	}
	for protocol, transport := range s.transports() {
		s.wantOver(t, protocol, transport, filePath("team", "renewed", protocol[5:], "f"), http.StatusOK, string(content))
	}
}

// wantLogged wants a line of the log with all of some parts.
func wantLogged(s *secureServer, parts ...string) {
	s.Helper()
	s.eventually(fmt.Sprintf("the log says %q", parts), func() bool {
		for line := range strings.Lines(s.logText()) {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				s.Log(strings.TrimSpace(line))
				return true
			}
		}
		return false
	})
}
