package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	owner = "bench"
	user  = "bench" // may write to the owner of its name
)

// registryServer is this Caddy with one registry, in two sites.
type registryServer struct {
	*process
	password *endpoint // of a site with basic_auth; anonymous clients use it too
	token    *endpoint // of a second site of the same registry, for generic_registry_auth
	root     string
	admin    string // address
}

// startRegistry starts one on an empty folder.
func startRegistry(ctx context.Context, binary, dir string) (*registryServer, error) {
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	root, password := filepath.Join(dir, "registry"), rand.Text()
	// The hash is cached after the first request: its cost is not what is measured.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	caddyfile := fmt.Sprintf(`{
	admin %[1]s
	default_bind 127.0.0.1
	persist_config off
}

http://%[2]s {
	@credentials header Authorization Basic*
	basic_auth @credentials {
		%[4]s %[5]s
	}
	generic_registry {
		root %[6]q
		health /healthz
	}
}

http://%[3]s {
	generic_registry_auth {
		root %[6]q
	}
	generic_registry {
		root %[6]q
	}
}
`, addresses[0], addresses[1], addresses[2], user, hash, root)
	process, err := newProcess(binary, dir, caddyfile, "http://"+addresses[1]+"/healthz/ready")
	if err != nil {
		return nil, err
	}
	if _, err := process.start(ctx); err != nil {
		return nil, err
	}
	s := &registryServer{process: process, root: root, admin: addresses[0]}
	s.password = local("registry", "this Caddy", addresses[1], process)
	s.password.authorization = basic(user + ":" + password)
	s.token = local("registry", "this Caddy", addresses[2], process)
	return s, nil
}

func local(name, label, address string, p *process) *endpoint {
	return &endpoint{name: name, label: label, address: address, host: address, owner: owner, process: p}
}

// makeToken makes the token that clients of the second site send.
func (s *registryServer) makeToken(ctx context.Context) error {
	command := exec.CommandContext(ctx, s.binary, "generic-registry", "token", "create",
		"--address", s.admin, "--name", "bench", "--user", user, "--scope", "write", "--owner", owner)
	command.Env = append(os.Environ(), "HOME="+s.dir)
	var complaint strings.Builder
	command.Stderr = &complaint
	token, err := command.Output()
	if err != nil {
		return fmt.Errorf("making a token: %w\n%s", err, complaint.String())
	}
	s.token.authorization = "Bearer " + strings.TrimSpace(string(token))
	return nil
}

// stockServer is stock Caddy.
type stockServer struct {
	*process
	files   *endpoint // a site with the file server
	root    string    // its folder, in which files have the paths that they have in a registry
	respond *endpoint // a site that answers everything with the same small text, from memory
}

// startStock starts one on an empty folder. The text of its other site has so many bytes.
func startStock(ctx context.Context, binary, dir string, text int64) (*stockServer, error) {
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "files")
	caddyfile := fmt.Sprintf(`{
	admin %s
	default_bind 127.0.0.1
	persist_config off
}

http://%s {
	root * %q
	file_server
}

http://%s {
	respond %s
}
`, addresses[0], addresses[1], root, addresses[2], strings.Repeat("x", int(text)))
	process, err := newProcess(binary, dir, caddyfile, "http://"+addresses[1]+readyPath)
	if err != nil {
		return nil, err
	}
	if err := makeReady(root); err != nil {
		return nil, err
	}
	if _, err := process.start(ctx); err != nil {
		return nil, err
	}
	respond := local("respond", "stock `respond`, from memory", addresses[2], process)
	respond.fixed = true
	return &stockServer{process, local("file_server", "stock `file_server`", addresses[1], process), root, respond}, nil
}

const readyPath = "/ready"

// makeReady makes a folder that a server of files is ready with.
func makeReady(root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, readyPath), []byte("ready\n"), 0o644)
}

// nginxServer is nginx. Its CPU time is that of its workers, which nobody reads.
type nginxServer struct {
	*process
	files *endpoint
}

// startNginx starts nginx on the same folder as stock Caddy's file server. Nil where nginx is
// not installed.
func startNginx(ctx context.Context, dir, root string) (*nginxServer, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		return nil, nil
	}
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "nginx.conf")
	// As many workers as cores, and files that stay open: what its documentation says for speed.
	text := fmt.Sprintf(`daemon off;
%[1]s
worker_processes auto;
error_log stderr;
pid %[2]s/pid;
events {}
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	open_file_cache max=1000 inactive=60s;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	server {
		listen %[3]s;
		root %[4]s;
	}
}
`, nginxUser(), dir, addresses[0], root)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &process{binary: binary, arguments: []string{"-c", name}, dir: dir, ready: "http://" + addresses[0] + readyPath}
	if _, err := p.start(ctx); err != nil {
		return nil, err
	}
	return &nginxServer{p, local("nginx", "nginx (`sendfile`, `open_file_cache`)", addresses[0], nil)}, nil
}

// nginxUser has the workers of root's nginx read what only root may read.
func nginxUser() string {
	if os.Getuid() == 0 {
		return "user root;"
	}
	return ""
}
