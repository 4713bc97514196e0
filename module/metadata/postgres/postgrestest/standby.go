//go:build unix

package postgrestest

import (
	"fmt"
	"os"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

// NewStandby makes a server that follows this one, under a name, and starts it at a port. It
// finds a port itself for 0. The standby asks for changes at another port of this machine, which
// leads to this server. Remove the standby in the end.
func (s *Server) NewStandby(name string, port, following int) (*Server, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	standby := &Server{Port: port, dir: dir, bin: s.bin, user: s.user}
	if err := standby.copy(name, following); err != nil {
		return nil, fmt.Errorf("%w; %w", err, os.RemoveAll(dir))
	}
	return standby, standby.Start("wal_retrieve_retry_interval=100ms")
}

// copy makes the data of a standby out of those of the server that a port leads to.
func (s *Server) copy(name string, following int) (err error) {
	if s.Port == 0 {
		if s.Port, err = ports.Free(); err != nil {
			return err
		}
	}
	if s.user != nil {
		if err := os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return err
		}
	}
	return s.run("pg_basebackup", "-D", s.data(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=postgres password='%s' application_name=%s", following, Password, name))
}

// Promote has a standby take changes. The server that it followed must have ended.
func (s *Server) Promote() error { return s.run("pg_ctl", "promote", "-w", "-D", s.data()) }

// AwaitStandby has commits wait for the standby of a name, from soon on. With no name they
// wait for none.
func (s *Server) AwaitStandby(name string) error {
	return s.run("psql", "-h", s.dir, "-p", strconv.Itoa(s.Port), "-U", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1",
		"-c", "ALTER SYSTEM SET synchronous_standby_names = '"+name+"'", "-c", "SELECT pg_reload_conf()")
}
