package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// upload is a PUT that is refused, and what its client has to see.
type upload struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Size     int64  `json:"size"`
	Chunked  bool   `json:"chunked"`
	want     string // status and text
}

// refusedSizes are those of uploads that are refused. Sockets hold less than the first
// one, and clients that do not read while they send lost an answer above 16 MB.
func refusedSizes() []int64 {
	sizes := []int64{1e6, 17e6, 40e6}
	if isLong() {
		sizes = append(sizes, 100e6)
	}
	return sizes
}

const (
	wantDuplicate = "409 package file already exists"
	wantUser      = "401 authentication required"
	wantWrong     = "401 authentication failed: wrong user or password, or a token that is unknown, expired or revoked"
	wantNobody    = "404 not found: packages are under /api/packages/"
)

// refusedUploads are to be refused for each reason, at a server with its
// authentication. The path is that of a file.
func refusedUploads(base, path string) (all []upload) {
	for i, size := range refusedSizes() {
		all = append(all,
			upload{base + path, "alice", password, size, false, wantDuplicate},
			upload{base + path, "", "", size, false, wantUser},
			upload{base + path, "alice", "wrong", size, false, wantWrong},
		)
		if i == 1 { // one size is enough for what is the same code in all
			all = append(all,
				upload{base + path, "alice", password, size, true, wantDuplicate},
				upload{base + path, "alice", "wrong", size, true, wantWrong},
				upload{base + "/api/package/typo", "alice", password, size, false, wantNobody},
			)
		}
	}
	return all
}

// frontedServer is a server that authenticates with generic_registry_auth over HTTP and
// HTTPS, with a file at a path. Its sites can have more directives.
type frontedServer struct {
	*server
	plain, secure   string
	authority, path string
}

func startFronted(t *testing.T, directives ...string) frontedServer {
	s := newServer(t)
	secure, authority := s.startSecureWith(func(text string) string {
		own := fmt.Sprintf("\tgeneric_registry_auth {\n\t\troot %s\n\t\tbasic {\n\t\t\talice %s\n\t\t}\n\t}\n", s.root, passwordHash)
		return strings.ReplaceAll(text, basicAuth(), own+strings.Join(append(directives, ""), "\n"))
	})
	path := filePath("alice", "tool", "1.0", "f")
	s.put(path, []byte("x"))
	return frontedServer{s, fmt.Sprintf("http://127.0.0.1:%d", s.port), fmt.Sprintf("https://localhost:%d", secure), authority, path}
}

// sees runs a client with jobs as its input and compares each line of its output with
// what that upload wants.
func sees(t *testing.T, uploads []upload, input []byte, name string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	var problems bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(input), &problems
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, output, problems.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if len(lines) != len(uploads) {
		t.Fatalf("%d answers to %d uploads:\n%s%s", len(lines), len(uploads), output, problems.Bytes())
	}
	for i, u := range uploads {
		if strings.TrimSpace(lines[i]) != u.want {
			t.Errorf("%s of %d bytes, chunked %v, as %q: got %q, want %q", u.URL, u.Size, u.Chunked, u.User, lines[i], u.want)
		}
	}
}

// pythonOfDebian has the packages python3-requests, python3-httpx and python3-h2.
const pythonOfDebian = "/usr/bin/python3"

func seesWithPython(t *testing.T, library, authority string, uploads []upload) {
	t.Helper()
	var jobs bytes.Buffer
	for _, u := range uploads {
		if err := json.NewEncoder(&jobs).Encode(u); err != nil {
			t.Fatal(err)
		}
	}
	sees(t, uploads, jobs.Bytes(), pythonOfDebian, "testdata/clients/put.py", library, authority)
}

// TestRefusedUploadsOfClients: clients that read only after they have sent everything
// see why an upload was refused, whatever its size.
func TestRefusedUploadsOfClients(t *testing.T) {
	t.Parallel()
	s := startFronted(t)
	for _, library := range []string{"requests", "urllib3", "httpx"} {
		t.Run(library, func(t *testing.T) {
			seesWithPython(t, library, s.authority, append(refusedUploads(s.plain, s.path), refusedUploads(s.secure, s.path)...))
		})
	}
	t.Run("httpx over HTTP/2", func(t *testing.T) {
		seesWithPython(t, "httpx over HTTP/2", s.authority, refusedUploads(s.secure, s.path))
	})
	t.Run("Java's HttpURLConnection", func(t *testing.T) {
		uploads := refusedUploads(s.plain, s.path)
		var jobs bytes.Buffer
		for i, u := range uploads {
			if strings.HasPrefix(u.want, "401") {
				uploads[i].want = "401" // it gives nobody the text of a 401 to a streamed body
			}
			user := "-"
			if u.User != "" {
				user = u.User + ":" + u.Password
			}
			fmt.Fprintln(&jobs, u.URL, user, u.Size, u.Chunked)
		}
		sees(t, uploads, jobs.Bytes(), "java", "testdata/clients/Put.java")
	})
	for name, base := range map[string]string{"curl over HTTP/1": s.plain, "curl over HTTP/2": s.secure} {
		t.Run(name, func(t *testing.T) { s.seesWithCurl(t, refusedUploads(base, s.path)) })
	}
	s.wantBytes(s.path, []byte("x"))
}

// seesWithCurl sends uploads with curl, which is told not to wait for leave to send.
func (s frontedServer) seesWithCurl(t *testing.T, uploads []upload) {
	t.Helper()
	local := filepath.Join(t.TempDir(), "upload")
	for _, u := range uploads {
		patternFile(t, local, u.Size)
		arguments := []string{"--silent", "--show-error", "--http2", "--cacert", s.authority, "--upload-file", local, "--header", "Expect:", "--write-out", " %{http_code}"}
		if u.User != "" {
			arguments = append(arguments, "--user", u.User+":"+u.Password)
		}
		if u.Chunked {
			arguments = append(arguments, "--header", "Content-Length:", "--header", "Transfer-Encoding: chunked")
		}
		output, err := exec.CommandContext(t.Context(), "curl", append(arguments, u.URL)...).CombinedOutput()
		fields := strings.Fields(string(output))
		got := strings.Join(append(fields[max(0, len(fields)-1):], fields[:max(0, len(fields)-1)]...), " ")
		if err != nil || got != u.want {
			t.Errorf("%s of %d bytes, chunked %v, as %q: got %q and %v, want %q", u.URL, u.Size, u.Chunked, u.User, got, err, u.want)
		}
	}
}

// TestRefusedUploadsThroughProxies: nginx as it is by default, which speaks HTTP/1.0 to
// what is behind and reads only after it has sent everything, and HAProxy.
func TestRefusedUploadsThroughProxies(t *testing.T) {
	t.Parallel()
	s := startFronted(t)
	for name, start := range map[string]func(testing.TB, int, int){"nginx": startNginx, "HAProxy": startHAProxy} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			start(t, port, s.port)
			front := s
			front.server = s.in(t)
			base := fmt.Sprintf("http://127.0.0.1:%d", port)
			s.eventually(name+" answers", func() bool {
				return exec.Command("curl", "--silent", "--output", os.DevNull, base).Run() == nil
			})
			for range 3 {
				front.seesWithCurl(t, refusedUploads(base, s.path))
			}
			seesWithPython(t, "requests", s.authority, refusedUploads(base, s.path))
		})
	}
}

func startNginx(t testing.TB, port, upstream int) {
	t.Helper()
	startNginxOf(t, "0", port, upstream)
}

// startNginxOf starts an nginx that refuses larger requests, 0 for none, and otherwise is as
// it is by default. What it returns ends it before the test does.
func startNginxOf(t testing.TB, largest string, port, upstream int) (end func()) {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`daemon off;
user root;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_max_body_size %[4]s;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[2]d;
		location / {
			proxy_pass http://127.0.0.1:%[3]d;
		}
	}
}
`, dir, port, upstream, largest)
	stop := startProxy(t, dir, config, "nginx", "-e", filepath.Join(dir, "error.log"), "-c")
	return func() {
		stop()
		if err := os.RemoveAll(filepath.Join(dir, "body")); err != nil { // what it was sending
			t.Error(err)
		}
	}
}

func startHAProxy(t testing.TB, port, upstream int) {
	t.Helper()
	startProxy(t, t.TempDir(), fmt.Sprintf(`defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend front
	bind 127.0.0.1:%d
	default_backend registry
backend registry
	server caddy 127.0.0.1:%d
`, port, upstream), "haproxy", "-f")
}

// startProxy runs a proxy for the length of a test, or until what it returns is called. Its
// configuration's name is the last argument.
func startProxy(t testing.TB, dir, config, name string, arguments ...string) (end func()) {
	t.Helper()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath(name)
	if err != nil {
		program = filepath.Join("/usr/sbin", name)
	}
	command := exec.Command(program, append(arguments, file)...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // an interrupt is ignored in the background of a shell
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, output.Bytes())
		}
	})
	t.Cleanup(end)
	return end
}
