package postgres

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

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// mostChanges is how many changes share a transaction at most.
	mostChanges = 256
	// longestQueue is how many changes wait before who submits one waits too.
	longestQueue = 1024
	// mostTries is how often a transaction is tried that the server finds in the way of
	// another.
	mostTries = 6
)

// change is one change that waits for the committer: a call of a function of ours, and what
// it locks.
type change struct {
	ctx  context.Context
	sql  string
	args []any
	// scan reads the answer. It is called once more when the transaction is tried again.
	scan func(row pgx.Row) error

	// owner that is locked, empty for none. With makes it is made if there is none.
	owner string
	makes bool
	// digest of the blob that is locked, nil for none.
	digest []byte
	// file whose blob is locked, by folded names.
	file *store.Ref

	done chan error // has room for one
}

// errOutcome is the error of a change of which nobody could find out whether it was made.
var errOutcome = errors.New("PostgreSQL: it could not be found out whether the change was made")

// submit has the committer make a change, and waits for it. Everything that the change
// scans may be read when nil is returned, and only then.
func (s *Store) submit(ctx context.Context, c *change) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := faultOf(&s.unsettled); err != nil {
		return err
	}
	c.ctx, c.done = ctx, make(chan error, 1)
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// committer makes the changes of this process, on a connection of its own.
type committer struct {
	store *Store
	conn  *pgx.Conn // nil when there is none
	with  *settings // that it was made with
}

// run commits until the store is closed: then no call is in progress any more.
func (c *committer) run(ctx context.Context) {
	defer c.drop()
	for {
		select {
		case <-ctx.Done():
			c.refuse()
			return
		case first := <-c.store.queue:
			c.commit(ctx, c.gather(first))
		}
	}
}

// refuse answers what is in the queue of a store that is closed.
func (c *committer) refuse() {
	for {
		select {
		case waiting := <-c.store.queue:
			waiting.done <- errClosed
		default:
			return
		}
	}
}

// gather takes all changes that wait, in the order of their digests: that is how they lock
// blobs that are new.
func (c *committer) gather(first *change) []*change {
	all := []*change{first}
	for len(all) < mostChanges {
		select {
		case next := <-c.store.queue:
			all = append(all, next)
			continue
		default:
		}
		break
	}
	wanted := all[:0]
	for _, one := range all {
		if err := one.ctx.Err(); err != nil {
			one.done <- context.Cause(one.ctx)
			continue
		}
		wanted = append(wanted, one)
	}
	slices.SortStableFunc(wanted, func(a, b *change) int { return bytes.Compare(a.digest, b.digest) })
	return wanted
}

// commit makes changes in one transaction, or each in its own when one of them fails.
func (c *committer) commit(ctx context.Context, changes []*change) {
	if len(changes) == 0 {
		return
	}
	err := c.try(ctx, changes)
	if err != nil && len(changes) > 1 && kindOf(err) == other && !errors.Is(err, errOutcome) {
		for _, one := range changes {
			c.commit(ctx, []*change{one})
		}
		return
	}
	if err != nil && !errors.Is(err, errOutcome) {
		c.store.noticed(ctx, err)
		err = translate(context.WithoutCancel(ctx), err)
	}
	for _, one := range changes {
		one.done <- err
	}
}

// try makes a transaction, and tries again what may be better the next time. The error is
// pgx's: then nothing was changed. Or it is errOutcome.
func (c *committer) try(ctx context.Context, changes []*change) error {
	for tries := 1; ; tries++ {
		err := c.transact(ctx, changes)
		if err == nil || errors.Is(err, errOutcome) || ctx.Err() != nil {
			return err
		}
		switch class := kindOf(err); {
		case class == busy && tries < mostTries:
			select { // not at once: who was in the way is still there
			case <-time.After(mathrand.N(time.Duration(tries) * 10 * time.Millisecond)):
			case <-ctx.Done():
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
func (c *committer) transact(ctx context.Context, changes []*change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return err
	}
	ticket := rand.Text()
	batch := &pgx.Batch{}
	batch.Queue("begin")
	c.lock(batch, ticket, changes)
	for _, one := range changes {
		batch.Queue(one.sql, one.args...).QueryRow(one.scan)
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
	return c.settle(ticket, err)
}

// isDecided tells whether an error of a commit says that it did not happen. A server that
// ends, or that gives up to wait for its standby, may have made it.
func isDecided(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Severity == "ERROR" && server.Code[:2] != "57" && server.Code[:2] != "08"
}

// lock queues the call that locks what the changes touch, in the one order.
func (c *committer) lock(batch *pgx.Batch, ticket string, changes []*change) {
	made, owners := make([]string, 0), make([]string, 0, len(changes))
	digests := make([][]byte, 0, len(changes))
	names := [4][]string{{}, {}, {}, {}}
	for _, one := range changes {
		if one.owner != "" {
			owners = append(owners, one.owner)
		}
		if one.makes {
			made = append(made, one.owner)
		}
		if one.digest != nil {
			digests = append(digests, one.digest)
		}
		if f := one.file; f != nil {
			for i, name := range []string{f.Owner, f.Package, f.Version, f.File} {
				names[i] = append(names[i], name)
			}
		}
	}
	batch.Queue(c.with.sql(`SELECT {s}.locked_1($1, $2, $3, $4, $5, $6, $7, $8, $9)`),
		c.store.node, ticket, made, owners, digests, names[0], names[1], names[2], names[3])
}

// connect makes the connection, and the row of this process, if there is none.
func (c *committer) connect(ctx context.Context) error {
	now := c.store.settings.Load()
	if c.conn != nil && !c.conn.IsClosed() && c.with == now {
		return nil
	}
	c.drop()
	conn, err := now.connect(ctx)
	if err != nil {
		return err
	}
	// A process that is gone has no use for its row.
	_, err = conn.Exec(ctx, now.sql(`DELETE FROM {s}.node WHERE seen < now() - interval '30 days' AND id <> $1`), c.store.node)
	if err == nil {
		_, err = conn.Exec(ctx, now.sql(`INSERT INTO {s}.node (id, ticket, seen) VALUES ($1, '', now()) ON CONFLICT DO NOTHING`), c.store.node)
	}
	if err != nil {
		discard(conn)
		return err
	}
	c.conn, c.with = conn, now
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
