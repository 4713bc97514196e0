package database

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// watchInterval is how often a server that answers is asked, downInterval one that does
	// not.
	watchInterval = 2 * time.Second
	downInterval  = 250 * time.Millisecond
	// watchTimeout is how long it may take to answer.
	watchTimeout = 5 * time.Second
)

// watch asks the server how it is, on a connection of its own.
type watch struct {
	db    *Database
	conn  *pgx.Conn // nil when it was lost
	isNew bool      // nothing was asked on the connection yet
	told  waiting.Lasting
}

// run asks until the database is closed.
func (w *watch) run(ctx context.Context) {
	defer func() {
		if w.conn != nil {
			discard(w.conn)
		}
	}()
	for interval := watchInterval; ; {
		select {
		case <-ctx.Done():
			return
		case <-w.db.wake:
		case <-time.After(interval):
		}
		err := w.look(ctx)
		if err != nil && ctx.Err() == nil && kindOf(err) == lost {
			err = w.look(ctx) // on a new connection
		}
		if ctx.Err() != nil {
			return
		}
		interval = w.tell(err)
	}
}

// tell keeps what was found, and returns when to look again.
func (w *watch) tell(err error) time.Duration {
	if err == nil {
		if w.isNew {
			w.isNew = false
			w.goOn()
		}
		return watchInterval
	}
	fault := fmt.Errorf("%w: PostgreSQL: %s", store.ErrUnavailable, textOf(err))
	w.db.down.Store(&fault)
	if w.told.IsNews(fmt.Sprint(kindOf(err), isOurs(err))) {
		w.db.log.Error("PostgreSQL does not answer: files can be neither downloaded nor published", slog.String("error", textOf(err)))
	}
	return downInterval
}

// goOn has everybody use the server that the watch has connected to anew.
func (w *watch) goOn() {
	// The older connections may be to a host that is silent.
	w.db.pool.Load().Reset()
	w.db.returns.Add(1)
	if w.db.down.Swap(nil) != nil {
		w.db.log.Info("PostgreSQL answers again")
		w.told = waiting.Lasting{}
	}
	select {
	case w.db.reconnected <- struct{}{}:
	default: // a token that is there already will do
	}
}

// look asks the server for its time.
func (w *watch) look(ctx context.Context) (err error) {
	with := w.db.settings.Load()
	if w.conn == nil {
		if w.conn, err = with.Connect(ctx); err != nil {
			return err
		}
		w.isNew = true
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			discard(w.conn)
			w.conn = nil
		}
	}()
	var now time.Time
	var standby bool
	if err := w.conn.QueryRow(ctx, `SELECT clock_timestamp(), pg_is_in_recovery()`).Scan(&now, &standby); err != nil {
		return err
	}
	if standby {
		return fmt.Errorf("%w: the server is a standby", store.ErrUnavailable)
	}
	w.db.clock.Store(&reading{server: now, heard: time.Now()})
	return nil
}

// reading is a time of the server's clock, and when it was heard.
type reading struct{ server, heard time.Time }

// Clock returns the time of the server. It is behind by what the answer took to come.
func (d *Database) Clock() time.Time {
	last := d.clock.Load()
	return last.server.Add(time.Since(last.heard))
}
