package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is a step of the tables from one form to the next.
type migration struct {
	number int
	text   string
}

// allMigrations returns them in their order, numbered from 1 without a gap.
func allMigrations() ([]migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(strings.TrimPrefix(name, "migrations/")[:4])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		all = append(all, migration{number, string(text)})
	}
	return all, nil
}

// form is what the table store says of the tables.
type form struct {
	id            string
	schema, least int
}

// readForm returns the form of the tables, the zero form when there are none.
func (s settings) readForm(ctx context.Context, conn pgx.Tx) (f form, err error) {
	var exists bool
	// Not to_regclass: it answers with what was true when the transaction began.
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = 'store' AND n.nspname = $1)`, s.name).Scan(&exists)
	if err != nil || !exists {
		return f, err
	}
	err = conn.QueryRow(ctx, s.sql(`SELECT id, schema, least FROM {s}.store`)).Scan(&f.id, &f.schema, &f.least)
	return f, err
}

// sql puts the schema into a text.
func (s settings) sql(text string) string { return strings.ReplaceAll(text, "{s}", s.schema) }

// migrate brings the tables to the form of this release, and returns the ID of the registry.
// Any number of processes may do so at once. ErrFormat when the tables are of a newer
// release that this one cannot work with.
func (s settings) migrate(ctx context.Context, conn *pgx.Conn) (id string, made bool, err error) {
	all, err := allMigrations()
	if err != nil {
		return "", false, err
	}
	newest := all[len(all)-1].number
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", false, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after an error, or after the commit
	found, err := s.readForm(ctx, tx)
	if err != nil {
		return "", false, err
	}
	if found.schema < newest {
		// One after the other: CREATE SCHEMA IF NOT EXISTS fails when two do it at once.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "generic_registry "+s.schema); err != nil {
			return "", false, err
		}
		if found, err = s.readForm(ctx, tx); err != nil {
			return "", false, err
		}
	}
	if found.least > newest {
		return "", false, fmt.Errorf("%w: the tables in the schema %s need a release that knows migration %d, and this one knows %d: run a newer one",
			store.ErrFormat, s.schema, found.least, newest)
	}
	if found.schema >= newest {
		return found.id, false, nil
	}
	if found.schema == 0 {
		if err := s.makeSchema(ctx, tx); err != nil {
			return "", false, err
		}
	}
	for _, step := range all[found.schema:] {
		if _, err := tx.Exec(ctx, s.sql(step.text), pgx.QueryExecModeSimpleProtocol); err != nil {
			return "", false, err
		}
	}
	if found.schema == 0 {
		found.id = rand.Text()
		_, err = tx.Exec(ctx, s.sql(`INSERT INTO {s}.store (id, schema, least) VALUES ($1, $2, 1)`), found.id, newest)
	} else {
		_, err = tx.Exec(ctx, s.sql(`UPDATE {s}.store SET schema = $1`), newest)
	}
	if err != nil {
		return "", false, err
	}
	return found.id, true, tx.Commit(ctx)
}

// makeSchema makes the schema if an administrator has not: that needs a right that our user
// may not have.
func (s settings) makeSchema(ctx context.Context, tx pgx.Tx) error {
	var missing bool
	if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, s.name).Scan(&missing); err != nil || !missing {
		return err
	}
	_, err := tx.Exec(ctx, s.sql(`CREATE SCHEMA {s}`))
	return err
}
