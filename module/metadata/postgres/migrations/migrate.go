// Package migrations has the tables and functions of a registry in PostgreSQL, and brings
// those of a schema to the form of this release.
//
// A migration is a file of SQL with a number. The table store says which number the tables
// have, and the least number that a release must know to work with them. All steps that are
// missing are one transaction, under a lock that another process waits for.
package migrations

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

//go:embed *.sql
var files embed.FS

// migration is a step of the tables from one form to the next.
type migration struct {
	number int
	text   string
}

// all returns the migrations in their order, numbered from 1 without a gap.
func all() ([]migration, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var steps []migration
	for i, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(name[:4])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		steps = append(steps, migration{number, string(text)})
	}
	return steps, nil
}

// Schema is the schema of a registry's tables.
type Schema struct{ name, quoted string }

// Named returns the schema of a name.
func Named(name string) Schema { return Schema{name, pgx.Identifier{name}.Sanitize()} }

// SQL puts the schema into a text, in the place of each {s}.
func (s Schema) SQL(text string) string { return strings.ReplaceAll(text, "{s}", s.quoted) }

// Table names a table of the schema.
func (s Schema) Table(name string) pgx.Identifier { return pgx.Identifier{s.name, name} }

// form is what the table store says of the tables.
type form struct {
	id            string
	schema, least int
}

// readForm returns the form of the tables, the zero form when there are none.
func (s Schema) readForm(ctx context.Context, tx pgx.Tx) (f form, err error) {
	var exists bool
	// Not to_regclass: it answers with what was true when the transaction began.
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = 'store' AND n.nspname = $1)`, s.name).Scan(&exists)
	if err != nil || !exists {
		return f, err
	}
	err = tx.QueryRow(ctx, s.SQL(`SELECT id, schema, least FROM {s}.store`)).Scan(&f.id, &f.schema, &f.least)
	return f, err
}

// Migrate brings the tables to the form of this release, and returns the ID of the registry,
// and whether anything was changed. Any number of processes may do so at once. ErrFormat when
// the tables are of a newer release that this one cannot work with.
func (s Schema) Migrate(ctx context.Context, conn *pgx.Conn) (id string, changed bool, err error) {
	steps, err := all()
	if err != nil {
		return "", false, err
	}
	newest := steps[len(steps)-1].number
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		found, err := s.readForm(ctx, tx)
		if err != nil {
			return err
		}
		if found.schema < newest {
			// One after the other: CREATE SCHEMA IF NOT EXISTS fails when two do it at once.
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "generic_registry "+s.quoted); err != nil {
				return err
			}
			if found, err = s.readForm(ctx, tx); err != nil {
				return err
			}
		}
		if found.least > newest {
			return fmt.Errorf("%w: the tables in the schema %s need a release that knows migration %d, and this one knows %d: run a newer one",
				store.ErrFormat, s.quoted, found.least, newest)
		}
		if id, changed = found.id, found.schema < newest; !changed {
			return nil
		}
		if id == "" {
			id = rand.Text()
		}
		return s.apply(ctx, tx, steps[found.schema:], id)
	})
	return id, changed, err
}

// apply makes the steps that are missing. The first one makes the schema.
func (s Schema) apply(ctx context.Context, tx pgx.Tx, steps []migration, id string) error {
	if steps[0].number == 1 {
		if err := s.make(ctx, tx); err != nil {
			return err
		}
	}
	for _, step := range steps {
		if _, err := tx.Exec(ctx, s.SQL(step.text), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	newest := steps[len(steps)-1].number
	_, err := tx.Exec(ctx, s.SQL(`INSERT INTO {s}.store (id, schema, least) VALUES ($1, $2, 1)
		ON CONFLICT (one) DO UPDATE SET schema = $2`), id, newest)
	return err
}

// make makes the schema if an administrator has not: that needs a right that our user may
// not have.
func (s Schema) make(ctx context.Context, tx pgx.Tx) error {
	var missing bool
	if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, s.name).Scan(&missing); err != nil || !missing {
		return err
	}
	_, err := tx.Exec(ctx, s.SQL(`CREATE SCHEMA {s}`))
	return err
}
