package database

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
)

const (
	// readTimeout bounds a read, writeTimeout a transaction.
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
)

// Reader is what reads are made with: a connection or a transaction, and the schema that takes
// the place of each {s} in a statement. Its errors are those of pgx.
type Reader struct {
	from interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	}
	schema migrations.Schema
}

// Query sends a query with any number of rows as its answer.
func (r Reader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.from.Query(ctx, r.schema.SQL(sql), args...)
}

// QueryRow sends a query with one row as its answer.
func (r Reader) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.from.QueryRow(ctx, r.schema.SQL(sql), args...)
}

// Read makes a read that changes nothing, on a connection of the pool, and once more where
// the connection turns out to be lost. The function returns errors of pgx as they are.
func (d *Database) Read(ctx context.Context, fn func(ctx context.Context, from Reader) error) error {
	return d.use(ctx, readTimeout, func(ctx context.Context, conn *pgx.Conn) error { return fn(ctx, Reader{conn, d.schema()}) })
}

// View is Read for several queries that see one moment.
func (d *Database) View(ctx context.Context, fn func(ctx context.Context, from Reader) error) error {
	return d.ViewWithin(ctx, readTimeout, fn)
}

// ViewWithin is View for queries that may take so long.
func (d *Database) ViewWithin(ctx context.Context, limit time.Duration, fn func(ctx context.Context, from Reader) error) error {
	return d.use(ctx, limit, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error { return fn(ctx, Reader{tx, d.schema()}) })
	})
}

// Write makes a change that harms nobody when it is made twice, in a transaction of its own.
func (d *Database) Write(ctx context.Context, sql string, args ...any) error {
	return d.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, d.schema().SQL(sql), args...)
		return err
	})
}

// WriteRow is Write for a statement with one row as its answer, which is scanned into a value.
func (d *Database) WriteRow(ctx context.Context, into any, sql string, args ...any) error {
	return d.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, d.schema().SQL(sql), args...).Scan(into)
	})
}

// write has a function make a change. Changes have a quarter of the connections: while a standby
// is lost each waits for long, and reads go on.
func (d *Database) write(ctx context.Context, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	places := d.settings.Load().writes
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-places }()
	return d.use(ctx, writeTimeout, fn)
}

// use gives a function a connection of the pool for so long.
func (d *Database) use(ctx context.Context, limit time.Duration, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for attempt := 0; ; attempt++ {
		err := d.useOnce(ctx, limit, fn)
		if err == nil {
			return nil
		}
		class := kindOf(err)
		if ctx.Err() == nil && attempt < 1 && (class == lost || class == readOnly || class == busy) {
			continue
		}
		d.noticed(ctx, err)
		return translate(ctx, err)
	}
}

func (d *Database) useOnce(ctx context.Context, limit time.Duration, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pool := d.pool.Load()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err = fn(ctx, conn.Conn()); err == nil {
		return nil
	}
	if class := kindOf(err); class == lost || class == readOnly {
		pool.Reset() // the other connections are to the same server
	}
	return err
}

// noticed has the watch look at the server at once when a call failed because of it.
func (d *Database) noticed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch kindOf(err) {
	case lost, readOnly, unavailable, misconfigured:
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
	d.telling.Lock()
	defer d.telling.Unlock()
	if d.told.IsNews(fmt.Sprint(kindOf(err))) {
		d.log.Warn("a call to PostgreSQL failed", slog.String("error", textOf(err)))
	}
}
