package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// longest is how long telling or filling everything may take.
const longest = 24 * time.Hour

// Transaction is one that takes long, and is made once.
type Transaction struct {
	Reader
	tx pgx.Tx
}

// Exec makes a statement, and returns how many rows it was about.
func (t Transaction) Exec(ctx context.Context, sql string, args ...any) (rows int64, err error) {
	tag, err := t.tx.Exec(ctx, t.schema.SQL(sql), args...)
	return tag.RowsAffected(), err
}

// Copy adds rows to a table of the schema.
func (t Transaction) Copy(ctx context.Context, table string, columns []string, rows [][]any) error {
	_, err := t.tx.CopyFrom(ctx, t.schema.Table(table), columns, pgx.CopyFromRows(rows))
	return err
}

// ViewOnce has a function read everything as of one moment. It is called once, whatever fails.
// Errors of the domain that it returns are returned as they are, those of pgx are translated.
func (d *Database) ViewOnce(ctx context.Context, fn func(ctx context.Context, from Transaction) error) error {
	return d.once(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

// ChangeOnce has a function change everything as a whole. It is called once, as by ViewOnce.
// After ErrUnavailable the changes may have been made.
func (d *Database) ChangeOnce(ctx context.Context, fn func(ctx context.Context, in Transaction) error) error {
	return d.once(ctx, pgx.TxOptions{}, fn)
}

func (d *Database) once(ctx context.Context, options pgx.TxOptions, fn func(ctx context.Context, tx Transaction) error) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = d.useOnce(ctx, longest, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
			return fn(ctx, Transaction{Reader{tx, d.schema()}, tx})
		})
	})
	if err == nil || isOurs(err) {
		return err
	}
	d.noticed(ctx, err)
	return translate(ctx, err)
}
