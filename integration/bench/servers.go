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

// startStock starts stock Caddy with the file server, on a folder in which files have
// the paths that they have in a registry.
func startStock(ctx context.Context, binary, dir string) (*endpoint, string, error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, "", err
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
`, addresses[0], addresses[1], root)
	process, err := newProcess(binary, dir, caddyfile, "http://"+addresses[1]+"/ready")
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(filepath.Join(root, "ready"), []byte("ready\n"), 0o600); err != nil {
		return nil, "", err
	}
	if _, err := process.start(ctx); err != nil {
		return nil, "", err
	}
	return local("file_server", "stock `file_server`", addresses[1], process), root, nil
}
