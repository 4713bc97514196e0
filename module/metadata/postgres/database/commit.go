package database

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// mostChanges is how many changes share a transaction at most.
	mostChanges = 256
	// mostTries is how often a transaction is tried that the server finds in the way of
	// another.
	mostTries = 6
)

// committer makes the changes of this process, on a connection of its own, which is of the
// round in progress.
type committer struct {
	db   *Database
	conn *pgx.Conn // nil when there is none
	with *Settings // that it was made with
	at   uint64    // returns of the server when it was made
	life context.Context
}

// work is the work of a round of changes, each with its own outcome. What nobody waits for
// any more is left out. In the order of their digests changes lock blobs that are new.
func (c *committer) work(changes []*Change) error {
	wanted := changes[:0]
	for _, one := range changes {
		if one.err = context.Cause(one.ctx); one.err == nil {
			wanted = append(wanted, one)
		}
	}
	slices.SortStableFunc(wanted, func(a, b *Change) int { return bytes.Compare(a.Locks.Digest, b.Locks.Digest) })
	if c.life.Err() != nil {
		return errClosed
	}
	c.commit(wanted)
	return nil
}

// commit makes changes in one transaction, or each in its own when one of them fails.
func (c *committer) commit(changes []*Change) {
	if len(changes) == 0 {
		return
	}
	err := c.try(changes)
	if err != nil && len(changes) > 1 && kindOf(err) == other && !errors.Is(err, errOutcome) {
		for _, one := range changes {
			c.commit([]*Change{one})
		}
		return
	}
	if err != nil && !errors.Is(err, errOutcome) {
		c.db.noticed(c.life, err)
		err = translate(context.WithoutCancel(c.life), err)
	}
	for _, one := range changes {
		one.err = err
	}
}

// try makes a transaction, and tries again what may be better the next time. The error is
// pgx's: then nothing was changed. Or it is errOutcome.
func (c *committer) try(changes []*Change) error {
	for tries := 1; ; tries++ {
		err := c.transact(changes)
		if err == nil || errors.Is(err, errOutcome) || c.life.Err() != nil {
			return err
		}
		switch class := kindOf(err); {
		case class == busy && tries < mostTries:
			select { // not at once: who was in the way is still there
			case <-time.After(mathrand.N(time.Duration(tries) * 10 * time.Millisecond)):
			case <-c.life.Done():
				return err
			}
		case (class == lost || class == readOnly) && tries < 2:
			c.drop() // the next connection may be good
		default:
			return err
		}
	}
}

// transact makes one transaction.
func (c *committer) transact(changes []*Change) error {
	if err := c.connect(c.life); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), writeTimeout)
	defer cancel()
	ticket := rand.Text()
	batch := &pgx.Batch{}
	batch.Queue("begin")
	c.lock(batch, ticket, changes)
	for _, one := range changes {
		batch.Queue(c.with.schema.SQL(one.SQL), one.Args...).QueryRow(one.Scan)
	}
	if err := c.conn.SendBatch(ctx, batch).Close(); err != nil {
		c.rollBack(ctx)
		return err
	}
	tag, err := c.conn.Exec(ctx, "commit", pgx.QueryExecModeSimpleProtocol)
	switch {
	case err == nil && tag.String() == "COMMIT":
		return nil
	case err == nil:
		c.drop()
		return fmt.Errorf("the server answered %s to a commit", tag)
	case isDecided(err):
		c.rollBack(ctx)
		return err
	}
	c.drop()
	return c.findOutcome(ticket, err)
}

// isDecided tells whether an error of a commit says that it did not happen. A server that
// ends, or that gives up to wait for its standby, may have made it.
func isDecided(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Severity == "ERROR" && server.Code[:2] != "57" && server.Code[:2] != "08"
}

// connect makes the connection, and the row of this process, if there is none.
func (c *committer) connect(ctx context.Context) error {
	now, returns := c.db.settings.Load(), c.db.returns.Load()
	if c.conn != nil && !c.conn.IsClosed() && c.with == now && c.at == returns {
		return nil
	}
	c.drop()
	conn, err := now.Connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	// A process that is gone has no use for its row.
	_, err = conn.Exec(ctx, now.schema.SQL(`DELETE FROM {s}.node WHERE seen < now() - interval '30 days' AND id <> $1`), c.db.node)
	if err == nil {
		_, err = conn.Exec(ctx, now.schema.SQL(`INSERT INTO {s}.node (id, ticket, seen) VALUES ($1, '', now()) ON CONFLICT DO NOTHING`), c.db.node)
	}
	if err != nil {
		discard(conn)
		return err
	}
	c.conn, c.with, c.at = conn, now, returns
	return nil
}

// rollBack ends a transaction that failed, if the connection is good.
func (c *committer) rollBack(ctx context.Context) {
	if c.conn.IsClosed() {
		c.drop()
		return
	}
	if _, err := c.conn.Exec(ctx, "rollback", pgx.QueryExecModeSimpleProtocol); err != nil {
		c.drop()
	}
}

func (c *committer) drop() {
	if c.conn != nil {
		discard(c.conn)
		c.conn = nil
	}
}
