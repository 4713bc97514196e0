//go:build unix

package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

// PgBouncer is a PgBouncer in front of a server.
type PgBouncer struct {
	port    int
	dir     string
	process *exec.Cmd
	ended   chan error
	log     bytes.Buffer // valid once it has ended
}

// NewPgBouncer starts a PgBouncer in front of a server, with a database for each of its modes.
// Stop it in the end.
func (s *Server) NewPgBouncer() (*PgBouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's place, which not every PATH has
	}
	b := &PgBouncer{ended: make(chan error, 1)}
	if b.port, err = ports.Free(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(s.dir, "pgbouncer"); err != nil {
		return nil, err
	}
	config, err := b.configure(s)
	if err != nil {
		return nil, err
	}
	b.process = exec.Command(program, config)
	b.process.SysProcAttr = &syscall.SysProcAttr{Credential: s.user, Setpgid: true}
	b.process.Stdout, b.process.Stderr = &b.log, &b.log
	if err := b.process.Start(); err != nil {
		return nil, fmt.Errorf("PgBouncer is needed, such as Debian's package pgbouncer: %w", err)
	}
	go func() { b.ended <- b.process.Wait() }()
	return b, b.listens()
}

// configure writes the configuration and the passwords.
func (b *PgBouncer) configure(s *Server) (path string, err error) {
	path, users := filepath.Join(b.dir, "pgbouncer.ini"), filepath.Join(b.dir, "users")
	text := "[databases]\n"
	for _, mode := range []string{"session", "transaction", "statement"} {
		text += fmt.Sprintf("%s = host=%s port=%d dbname=postgres pool_mode=%s\n", mode, s.dir, s.Port, mode)
	}
	text += fmt.Sprintf("[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = %s\ndefault_pool_size = 100\n", b.port, users)
	err = errors.Join(os.WriteFile(path, []byte(text), 0o644), os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", "postgres", Password), 0o600))
	if err == nil && s.user != nil {
		err = errors.Join(os.Chown(b.dir, int(s.user.Uid), int(s.user.Gid)), os.Chown(users, int(s.user.Uid), int(s.user.Gid)))
	}
	return path, err
}

// listens waits until it accepts connections.
func (b *PgBouncer) listens() error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.port))
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-b.ended:
			return fmt.Errorf("PgBouncer ended: %w: %s", err, b.log.String())
		default:
		}
	}
	return nil
}

// Pooling is a connection string of the database postgres with a mode of pooling: session,
// transaction or statement.
func (b *PgBouncer) Pooling(mode string) string {
	at := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", Password), Host: fmt.Sprintf("127.0.0.1:%d", b.port), Path: mode,
		RawQuery: "connect_timeout=30"} // it answers when it has a process of the server
	return at.String()
}

// Stop ends it, and returns what it has logged.
func (b *PgBouncer) Stop() (log string) {
	_ = b.process.Process.Kill()
	<-b.ended
	return b.log.String()
}
