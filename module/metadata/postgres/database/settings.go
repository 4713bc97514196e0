package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// connectTimeout bounds one connection to one address, unless connect_timeout is set. Where
	// there are several hosts it is shorter: who waits for a read waits for a silent host too.
	connectTimeout = 5 * time.Second
	oneOfSeveral   = 2 * time.Second
	// leastServer is the oldest release of PostgreSQL that this package is tried with.
	leastServer = 150000
)

// Settings are what connections are made with, and the schema of the tables.
type Settings struct {
	pool   *pgxpool.Config
	schema migrations.Schema
	writes chan struct{} // has a place for each write at a time
}

// parseDSN reads a connection string. Its errors do not have it.
func parseDSN(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err == nil {
		return config, nil
	}
	// What the library does not understand may be a part of a password, and it says that part.
	if reason := err.Error(); strings.Contains(reason, "failed to parse as ") || strings.Contains(reason, dsn) {
		return nil, errors.New("it is no URL and no list of key=value")
	}
	return nil, errors.New(cmp.Or(errors.Unwrap(err), err).Error())
}

// NewSettings completes what a connection string says. Its errors do not have it.
func NewSettings(dsn, password, schema string, connections int) (*Settings, error) {
	config, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	connection := config.ConnConfig
	if password != "" {
		connection.Password = password
	}
	made := &Settings{config, migrations.Named(schema), make(chan struct{}, max(1, connections/4))}
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = connectTimeout
		if len(made.hosts()) > 1 {
			connection.ConnectTimeout = oneOfSeveral
		}
	}
	if connection.ValidateConnect == nil {
		connection.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if connection.RuntimeParams["application_name"] == "" {
		connection.RuntimeParams["application_name"] = "generic_registry"
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	connection.DialFunc = dialer.DialContext
	config.MaxConns = int32(connections)
	config.MinConns = 0
	config.MaxConnLifetime = 30 * time.Minute
	config.MaxConnLifetimeJitter = 5 * time.Minute
	config.AfterConnect = checkServer
	return made, nil
}

// Address names the server and the database, without the user and the password.
func (s *Settings) Address() string {
	return strings.Join(s.hosts(), ",") + "/" + s.pool.ConnConfig.Database
}

// hosts are those of the connection string, in its order.
func (s *Settings) hosts() []string {
	connection := s.pool.ConnConfig
	hosts := []string{net.JoinHostPort(connection.Host, strconv.Itoa(int(connection.Port)))}
	for _, other := range connection.Fallbacks {
		host := net.JoinHostPort(other.Host, strconv.Itoa(int(other.Port)))
		if host != hosts[len(hosts)-1] { // the same host without TLS
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// equal tells whether both make the same connections.
func (s *Settings) equal(o *Settings) bool {
	a, b := s.pool, o.pool
	return a.ConnString() == b.ConnString() && a.ConnConfig.Password == b.ConnConfig.Password && a.MaxConns == b.MaxConns
}

// Connect makes a connection that is no part of the pool, and never asks the server to cancel
// anything. When a connection is lost, pgx asks for that on another one: a commit that waits
// for a standby would be made without it. It has the time that every address may take, and
// time to check the server: a deadline that is shorter could end at the first address each time.
func (s *Settings) Connect(ctx context.Context) (*pgx.Conn, error) {
	config := s.pool.ConnConfig.Copy()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(config.Fallbacks)+2)*config.ConnectTimeout)
	defer cancel()
	dial := config.DialFunc
	var connected atomic.Bool
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			return nil, errors.New("nothing is canceled")
		}
		return dial(ctx, network, address)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	connected.Store(true)
	if err := checkServer(ctx, conn); err != nil {
		discard(conn)
		return nil, err
	}
	return conn, nil
}

// discard closes a connection without waiting for the server.
func discard(conn *pgx.Conn) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = conn.Close(ended)
}

// checkServer refuses a server that does not keep what it acknowledges. ErrRefused,
// ErrUnavailable for a standby.
func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var fsync, synchronous, encoding string
	var standby bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('synchronous_commit'), current_setting('server_encoding'), pg_is_in_recovery()`, pgx.QueryExecModeExec).
		Scan(&version, &fsync, &synchronous, &encoding, &standby)
	switch {
	case err != nil:
		return err
	case version < leastServer:
		return fmt.Errorf("%w: the server is PostgreSQL %d, and 15 or newer is needed", store.ErrRefused, version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("%w: the database has the encoding %s: make one with ENCODING 'UTF8'", store.ErrRefused, encoding)
	case fsync != "on":
		return fmt.Errorf("%w: the server has fsync off, and would lose files that were acknowledged: set fsync = on", store.ErrRefused)
	case synchronous == "off":
		return fmt.Errorf("%w: synchronous_commit is off for this user, database or server, and files that were acknowledged would be lost: set synchronous_commit = on", store.ErrRefused)
	case standby:
		return fmt.Errorf("%w: the server is a standby", store.ErrUnavailable)
	}
	return nil
}

// SQL puts the schema of the tables into a statement, in the place of each {s}.
func (s *Settings) SQL(text string) string { return s.schema.SQL(text) }
