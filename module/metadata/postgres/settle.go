package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// settleInterval is how often it is tried to find out an outcome.
	settleInterval = 250 * time.Millisecond
	// settleTimeout bounds one try.
	settleTimeout = 10 * time.Second
	// settleAtClose is how long a store that is closed still tries.
	settleAtClose = 10 * time.Second
)

// settle finds out whether the transaction of a ticket was committed, whose connection was
// lost after COMMIT was sent. It returns nil when it was, the error of the commit when it
// was not, and errOutcome when the store is closed before that is known. Meanwhile no change
// is taken: the next one would write another ticket.
func (c *committer) settle(ticket string, why error) error {
	fault := fmt.Errorf("%w: whether the last changes were made is being found out", store.ErrUnavailable)
	c.store.unsettled.Store(&fault)
	defer c.store.unsettled.Store(nil)
	c.store.log.Warn("the connection was lost while changes were committed: finding out whether they were", slog.String("error", textOf(why)))
	var closing <-chan time.Time
	for {
		committed, err := c.wasCommitted(ticket)
		if err == nil {
			c.store.log.Info("the outcome of the lost commit is known", slog.Bool("committed", committed))
			if committed {
				return nil
			}
			return why
		}
		if closing == nil && c.store.closed.Load() {
			closing = time.After(settleAtClose)
		}
		select {
		case <-closing:
			c.store.log.Error("closed before it was known whether the last changes were made", slog.String("error", textOf(err)))
			return errOutcome
		case <-time.After(settleInterval):
		}
	}
}

// wasCommitted reads the ticket of this process for update: so it waits for the transaction
// that writes it, if the server has not ended that yet.
func (c *committer) wasCommitted(ticket string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	with := c.store.settings.Load()
	conn, err := with.connect(ctx)
	if err != nil {
		return false, err
	}
	defer discard(conn)
	var last string
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// So that no session of the server waits for longer than we do.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '5s'`); err != nil {
			return err
		}
		return tx.QueryRow(ctx, with.sql(`SELECT ticket FROM {s}.node WHERE id = $1 FOR UPDATE`), c.store.node).Scan(&last)
	})
	if isNone(err) {
		return false, nil // a server that never heard of this process
	}
	return err == nil && last == ticket, err
}
