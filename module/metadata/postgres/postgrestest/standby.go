//go:build unix

package postgrestest

import (
	"fmt"
	"os"
	"strconv"
)

// NewStandby makes a server that follows this one, under a name, and starts it at a port. It
// finds a port itself for 0. Remove the server in the end.
func (s *Server) NewStandby(name string, port int) (*Server, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	standby := &Server{Port: port, dir: dir, bin: s.bin, user: s.user}
	if err := standby.copy(s, name); err != nil {
		return nil, fmt.Errorf("%w; %w", err, os.RemoveAll(dir))
	}
	return standby, standby.Start("wal_retrieve_retry_interval=100ms")
}

// copy makes the data of a standby out of those of a server that runs.
func (s *Server) copy(primary *Server, name string) (err error) {
	if s.Port == 0 {
		if s.Port, err = freePort(); err != nil {
			return err
		}
	}
	if s.user != nil {
		if err := os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return err
		}
	}
	return s.run("pg_basebackup", "-D", s.data(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
		"-d", fmt.Sprintf("host=%s port=%d user=postgres application_name=%s", primary.dir, primary.Port, name))
}

// Promote has a standby take changes. The server that it followed must have ended.
func (s *Server) Promote() error { return s.run("pg_ctl", "promote", "-w", "-D", s.data()) }

// AwaitStandby has commits wait for the standby of a name, from soon on. With no name they
// wait for none.
func (s *Server) AwaitStandby(name string) error {
	return s.run("psql", "-h", s.dir, "-p", strconv.Itoa(s.Port), "-U", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1",
		"-c", "ALTER SYSTEM SET synchronous_standby_names = '"+name+"'", "-c", "SELECT pg_reload_conf()")
}
