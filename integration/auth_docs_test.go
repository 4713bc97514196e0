package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// authority signs the certificates of clients.
type authority struct {
	file        string // its certificate
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func (s *server) clientAuthority() authority {
	s.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.Fatal(err)
	}
	a := authority{file: filepath.Join(s.dir, "clients.pem"), key: key}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		s.Fatal(err)
	}
	return a
}

// issue makes the certificate of a client.
func (a authority) issue(t testing.TB, name pkix.Name) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: name, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestClientCertificatesOfTheDocuments: the subject of a verified certificate is the
// user; without one, or with that of a stranger, nobody is.
func TestClientCertificatesOfTheDocuments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clients := s.clientAuthority()
	put := s.startWithCertificates(clients, caddyfileWith(t, "docs/auth.md", "client_auth").text)
	ci := pkix.Name{CommonName: "ci", Organization: []string{"Example"}}
	other := clients.issue(t, pkix.Name{CommonName: "other", Organization: []string{"Example"}})
	for name, test := range map[string]struct {
		certificates []tls.Certificate
		want         int
	}{
		"ci":        {[]tls.Certificate{clients.issue(t, ci)}, http.StatusCreated},
		"other":     {[]tls.Certificate{other}, http.StatusForbidden},
		"anonymous": {nil, http.StatusUnauthorized},
	} {
		if got, err := put(name, nil, test.certificates...); err != nil || got != test.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, test.want)
		}
	}
	stranger := newServer(t).clientAuthority()
	if got, err := put("stranger", nil, stranger.issue(t, ci)); err == nil && got == http.StatusCreated {
		t.Error("a certificate of another authority is accepted")
	}
}

// startWithCertificates serves a Caddyfile of packages.example.com with TLS. The
// function publishes a file of the owner team with certificates, in a TLS session that
// the server may resume or not.
func (s *server) startWithCertificates(clients authority, text string) func(file string, sessions tls.ClientSessionCache, certificates ...tls.Certificate) (int, error) {
	s.Helper()
	text = strings.ReplaceAll(text, "/etc/caddy/clients.pem", clients.file)
	text = strings.Replace(text, "packages.example.com {\n\ttls {", fmt.Sprintf("https://localhost:%d {\n\ttls internal {", s.port), 1)
	text = strings.Replace(text, "generic_registry {", "generic_registry {\n\t\troot "+s.root, 1)
	s.start(strings.Replace(s.global(), "{\n", "{\n\tskip_install_trust\n\tauto_https disable_redirects\n", 1) + text)

	roots := x509.NewCertPool()
	s.eventually("there is a certificate", func() bool {
		root, err := os.ReadFile(filepath.Join(s.dir, "data", "caddy", "pki", "authorities", "local", "root.crt"))
		return err == nil && roots.AppendCertsFromPEM(root)
	})
	put := func(file string, sessions tls.ClientSessionCache, certificates ...tls.Certificate) (int, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates, ClientSessionCache: sessions}}}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(s.Context(), http.MethodPut, fmt.Sprintf("https://localhost:%d%s", s.port, filePath("team", "p", "1", file)), strings.NewReader("x"))
		if err != nil {
			return 0, err
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return response.StatusCode, errors.Join(err, response.Body.Close())
	}
	s.eventually("the server has its certificate", func() bool {
		_, err := put("early", nil, clients.issue(s, pkix.Name{CommonName: "early"}))
		return err == nil
	})
	return put
}

// TestUnverifiedCertificatesNameNoUser: the modes request and require of client_auth
// verify nothing, and anybody can make a certificate of any subject.
func TestUnverifiedCertificatesNameNoUser(t *testing.T) {
	t.Parallel()
	ci := pkix.Name{CommonName: "ci", Organization: []string{"Example"}}
	stranger := newServer(t).clientAuthority()
	for mode, want := range map[string]int{"request": http.StatusUnauthorized, "require": http.StatusUnauthorized, "require_and_verify": 0} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			clients := s.clientAuthority()
			put := s.startWithCertificates(clients, strings.Replace(caddyfileWith(t, "docs/auth.md", "client_auth").text, "verify_if_given", mode, 1))
			if got, err := put("evil", nil, stranger.issue(t, ci)); got != want || (err == nil) != (want != 0) {
				t.Errorf("a stranger's certificate: %d, %v, want %d", got, err, want)
			}
			if mode != "require_and_verify" {
				return
			}
			sessions, own := tls.NewLRUClientSessionCache(1), clients.issue(t, ci)
			for _, file := range []string{"first", "again"} {
				if got, err := put(file, sessions, own); err != nil || got != http.StatusCreated {
					t.Errorf("a verified certificate, %s: %d, %v", file, got, err)
				}
			}
		})
	}
}

// TestPortalOfTheDocuments: user and groups are those that the portal names, never
// those that a client sends.
func TestPortalOfTheDocuments(t *testing.T) {
	t.Parallel()
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/authz/forward-auth" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		// What the portal knows of its session, as the test tells it.
		for _, name := range []string{"Remote-User", "Remote-Groups"} {
			if value := r.Header.Get("Session-" + name); value != "" {
				w.Header().Set(name, value)
			}
		}
	}))
	t.Cleanup(portal.Close)
	s := newServer(t)
	text := strings.Replace(caddyfileWith(t, "docs/auth.md", "forward_auth").text, "localhost:9091", strings.TrimPrefix(portal.URL, "http://"), 1)
	s.start(s.local(strings.Replace(text, "generic_registry {", "generic_registry {\n\t\troot "+s.root, 1)))
	forged := []header{{"Remote-User", "alice"}, {"Remote-Groups", "developers"}}
	for i, test := range []struct {
		name    string
		session []header
		want    int
	}{
		{"a developer", []header{{"Session-Remote-User", "alice"}, {"Session-Remote-Groups", "staff, developers"}}, 201},
		{"a user of other groups", []header{{"Session-Remote-User", "bob"}, {"Session-Remote-Groups", "staff"}}, 403},
		{"nobody", nil, 401},
		{"nobody, with headers of his own", forged, 401},
		{"a user without groups, with headers of his own", append([]header{{"Session-Remote-User", "bob"}}, forged...), 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.in(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := s.tryAt(ctx, s.port, http.MethodPut, filePath("team", "p", fmt.Sprint(i), "f"), "", bytes.NewReader([]byte("x")), test.session...)
			if err != nil || got.status != test.want {
				t.Errorf("%d %s, %v, want %d", got.status, got.text(), err, test.want)
			}
		})
	}
}

// TestTeamWithTokensOfTheDocuments: the team's site as it stands, with its socket and
// the token that README.md makes.
func TestTeamWithTokensOfTheDocuments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.local(caddyfileWith(t, "README.md", "generic_registry_auth {").text))
	var token string
	for _, b := range blocks(t, "README.md", "sh") {
		if strings.Contains(b.text, "token create") {
			token = regexp.MustCompile(`grt_\w+`).FindString(s.shell(b))
		}
	}
	path := filePath("team", "tool", "1", "f")
	s.want(201, http.MethodPut, path, "", []byte("x"), authorization("Bearer "+token))
	s.want(401, http.MethodGet, path, "", nil)
	s.want(200, http.MethodGet, path, "", nil, authorization("Bearer "+token))
	s.want(403, http.MethodPut, filePath("ci", "tool", "1", "f"), "", []byte("x"), authorization("Bearer "+token))
	s.want(403, http.MethodDelete, path, "", nil, authorization("Bearer "+token))
}
