package database

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sessionTries is how often it is looked whether connections share processes of the server.
const sessionTries = 10

// errPooling: the next statement of a connection may find another process of the server, without
// the statements that were prepared, or another server, which nobody has checked.
var errPooling = fmt.Errorf("%w: a pooler between Caddy and PostgreSQL gives a process of the server to several connections: write pool_mode = session for this database into the configuration of PgBouncer, or connect to PostgreSQL itself", store.ErrRefused)

// checkSession refuses a pooler that does not keep a process of the server for a connection.
// While others use the pooler, it could give a connection the same process twice by chance, so
// it is asked several times.
func (s *Settings) checkSession(ctx context.Context, conn *pgx.Conn) error {
	first, err := processOf(ctx, conn)
	if err != nil || first == conn.PgConn().PID() {
		return err // nothing is in between
	}
	other, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer discard(other)
	for range sessionTries {
		// The pooler takes the process that was used last, or the one that was used first.
		again, err := processOf(ctx, conn)
		if err != nil {
			return err
		}
		others, err := processOf(ctx, other)
		if err != nil {
			return err
		}
		if again != first || others == first {
			return errPooling
		}
	}
	return nil
}

// processOf returns the process of the server that a connection has.
// It prepares nothing.
func processOf(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&pid)
	return pid, err
}
