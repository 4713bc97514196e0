package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// outcomeInterval is how often it is tried to find out an outcome.
	outcomeInterval = 250 * time.Millisecond
	// outcomeTimeout bounds one try on a connection.
	outcomeTimeout = 10 * time.Second
	// outcomeAtClose is how long a database that is closed still tries.
	outcomeAtClose = 10 * time.Second
)

// findOutcome finds out whether the transaction of a ticket was committed, whose connection
// was lost after COMMIT was sent. It returns nil when it was, the error of the commit when
// it was not, and errOutcome when the database is closed before that is known. Meanwhile no
// change is taken: the next one would write another ticket.
func (c *committer) findOutcome(ticket string, why error) error {
	fault := fmt.Errorf("%w: whether the last changes were made is being found out", store.ErrUnavailable)
	c.db.inDoubt.Store(&fault)
	defer c.db.inDoubt.Store(nil)
	c.db.log.Warn("the connection was lost during the commit of changes; finding out whether they are committed", slog.String("error", textOf(why)))
	var closing <-chan time.Time
	for {
		committed, err := c.wasCommitted(ticket)
		if err == nil {
			c.db.log.Info("the outcome of the lost commit is known", slog.Bool("committed", committed))
			if committed {
				return nil
			}
			return why
		}
		if closing == nil && c.db.closed.Load() {
			closing = time.After(outcomeAtClose)
		}
		select {
		case <-closing:
			c.db.log.Error("closed before it was known whether the last changes are committed", slog.String("error", textOf(err)))
			return errOutcome
		case <-time.After(outcomeInterval):
		}
	}
}

// wasCommitted reads the ticket of this process for update: so it waits for the transaction
// that writes it, if the server has not ended that yet.
func (c *committer) wasCommitted(ticket string) (bool, error) {
	with := c.db.settings.Load()
	conn, err := with.Connect(context.Background())
	if err != nil {
		return false, err
	}
	defer discard(conn)
	ctx, cancel := context.WithTimeout(context.Background(), outcomeTimeout)
	defer cancel()
	var last string
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// So that no session of the server waits for longer than we do.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '5s'`); err != nil {
			return err
		}
		return tx.QueryRow(ctx, with.schema.SQL(`SELECT ticket FROM {s}.node WHERE id = $1 FOR UPDATE`), c.db.node).Scan(&last)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil // a server that never heard of this process
	}
	return err == nil && last == ticket, err
}
