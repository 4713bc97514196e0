package database

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Change is one change that waits for the committer.
type Change struct {
	// SQL is a statement with one row as its answer, with {s} for the schema.
	SQL  string
	Args []any
	// Scan reads the answer. It is called once more when the transaction is tried again.
	Scan func(row pgx.Row) error
	// Locks are taken before anything is changed.
	Locks Locks

	ctx context.Context
	err error // valid once its round has ended
}

// Locks are what a change locks. The zero value locks nothing.
type Locks struct {
	// Owners that are locked, by their folded names. Nil for none.
	Owners []string
	// Make has the owners be made that are not there.
	Make bool
	// Digest of the blob that is locked. Nil for none.
	Digest []byte
	// File whose blob is locked, by folded names. Nil for none.
	File *store.Ref
}

// errOutcome is the error of a change of which nobody could find out whether it was made.
var errOutcome = errors.New("PostgreSQL: it could not be found out whether the change was made")

// Submit has the committer make a change, and waits for it. Everything that the change
// scans may be read when nil is returned, and only then.
func (d *Database) Submit(ctx context.Context, c *Change) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := faultOf(&d.inDoubt); err != nil {
		return err
	}
	c.ctx = ctx
	if err := d.rounds.Join(ctx, c); err != nil {
		return err
	}
	return c.err
}

// lock queues the call that writes the ticket and takes the locks of all changes.
func (c *committer) lock(batch *pgx.Batch, ticket string, changes []*Change) {
	made, owners := make([]string, 0), make([]string, 0, len(changes))
	digests := make([][]byte, 0, len(changes))
	names := [4][]string{{}, {}, {}, {}}
	for _, one := range changes {
		locks := one.Locks
		owners = append(owners, locks.Owners...)
		if locks.Make {
			made = append(made, locks.Owners...)
		}
		if locks.Digest != nil {
			digests = append(digests, locks.Digest)
		}
		if f := locks.File; f != nil {
			for i, name := range []string{f.Owner, f.Package, f.Version, f.File} {
				names[i] = append(names[i], name)
			}
		}
	}
	batch.Queue(c.with.schema.SQL(`SELECT {s}.locked_1($1, $2, $3, $4, $5, $6, $7, $8, $9)`),
		c.db.node, ticket, made, owners, digests, names[0], names[1], names[2], names[3])
}
