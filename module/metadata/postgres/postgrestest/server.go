//go:build unix

package postgrestest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

// Password of the user postgres, for connections over TCP. The socket needs none.
const Password = "not a secret: of a test"

// Server is a PostgreSQL server.
type Server struct {
	Port int
	dir  string // of everything
	bin  string // with the programs
	user *syscall.Credential
	made atomic.Int64 // databases
}

// New makes a server in a folder of its own, and starts it. Remove it in the end.
func New() (*Server, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.make(); err != nil {
		return nil, fmt.Errorf("%w; %w", err, os.RemoveAll(dir))
	}
	return s, s.Start()
}

func (s *Server) make() (err error) {
	if s.bin, err = programs(); err != nil {
		return err
	}
	if s.user, err = owner(); err != nil {
		return err
	}
	if s.Port, err = ports.Free(); err != nil {
		return err
	}
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte(Password), 0o600); err != nil {
		return err
	}
	if s.user != nil {
		for _, path := range []string{s.dir, secret} {
			if err := os.Chown(path, int(s.user.Uid), int(s.user.Gid)); err != nil {
				return err
			}
		}
	}
	return s.run("initdb", "-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+secret)
}

// programs returns the folder of the newest PostgreSQL.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian's place
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("a PostgreSQL server is needed, such as Debian's package postgresql: %w", err)
	}
	return filepath.Dir(path), nil
}

func release(initdb string) int {
	number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return number
}

// owner is who runs the server, nil for this user: PostgreSQL refuses to be run by root.
func owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run runs a program of PostgreSQL.
func (s *Server) run(program string, args ...string) error {
	command := exec.Command(filepath.Join(s.bin, program), args...)
	command.Dir = s.dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.user, Setpgid: true}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, output)
	}
	return nil
}

// Program returns the path of a program of PostgreSQL.
func (s *Server) Program(name string) string { return filepath.Join(s.bin, name) }

// Start starts a server that was stopped, with settings besides, such as "fsync=off".
func (s *Server) Start(settings ...string) error {
	options := fmt.Sprintf("-c port=%d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c max_connections=200", s.Port, s.dir)
	for _, setting := range settings {
		options += " -c " + setting
	}
	return s.run("pg_ctl", "start", "-w", "-D", s.data(), "-l", filepath.Join(s.dir, "log"), "-o", options)
}

// Stop stops the server: fast, or immediate, which it has to recover from.
func (s *Server) Stop(mode string) error {
	return s.run("pg_ctl", "stop", "-w", "-D", s.data(), "-m", mode)
}

// Kill kills the server's first process, as the kernel does when memory is short. The
// others end when they notice.
func (s *Server) Kill() error { return s.Signal(syscall.SIGKILL) }

// Signal sends a signal to the server's first process.
func (s *Server) Signal(signal syscall.Signal) error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, signal)
}

func (s *Server) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// Remove stops the server, if it runs, and removes all of it.
func (s *Server) Remove() error {
	if _, err := s.pid(); err == nil {
		_ = s.Signal(syscall.SIGCONT)
		_ = s.Stop("immediate")
	}
	return os.RemoveAll(s.dir)
}

// Socket is a connection string of a database over the socket.
func (s *Server) Socket(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres database=%s", s.dir, s.Port, database)
}

// Host is where the socket is.
func (s *Server) Host() string { return s.dir }

// TCP is a connection string of a database over TCP, with the password or without.
func (s *Server) TCP(database string, withPassword bool) string {
	at := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: fmt.Sprintf("127.0.0.1:%d", s.Port), Path: database}
	if withPassword {
		at.User = url.UserPassword("postgres", Password)
	}
	return at.String()
}

// NewName returns a name that no schema or database of this server has.
func (s *Server) NewName() string { return fmt.Sprintf("test_%d", s.made.Add(1)) }
