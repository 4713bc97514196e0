// Package nodes keeps in PostgreSQL which processes have a registry open, and which of them
// does what one is enough for. All times are the server's.
package nodes

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// present is for how long a node is there after it said so.
	present = time.Minute
	// forgotten is after how long its row goes.
	forgotten = 24 * time.Hour

	// leaveTimeout is for how long a node that ends tells so. Whoever copies the registry next
	// would take it for one that is there.
	leaveTimeout = 15 * time.Second
)

// Nodes are the processes that have a registry open, as one of them sees them.
type Nodes struct {
	db   *database.Database
	self string // this opening
}

// New returns the nodes of a registry that was opened just now.
func New(db *database.Database) *Nodes { return &Nodes{db: db, self: rand.Text()} }

// Meet implements store.Nodes.
func (n *Nodes) Meet(ctx context.Context, name, rules string) (all []store.Node, ahead time.Duration, err error) {
	if err := n.db.Write(ctx, `DELETE FROM {s}.live WHERE seen < now() - $1::interval`, forgotten); err != nil {
		return nil, 0, err
	}
	err = n.db.Write(ctx, `INSERT INTO {s}.live (id, name, rules, seen) VALUES ($1, $2, $3, now())
		ON CONFLICT (id) DO UPDATE SET name = $2, rules = $3, seen = now()`, n.self, database.Storable(name), rules)
	if err != nil {
		return nil, 0, err
	}
	err = n.db.Read(ctx, func(ctx context.Context, from database.Reader) (err error) {
		if ahead, err = compare(ctx, from); err == nil {
			all, err = n.present(ctx, from)
		}
		return err
	})
	return all, ahead, err
}

// Present implements store.Nodes.
func (n *Nodes) Present(ctx context.Context) (all []store.Node, err error) {
	err = n.db.Read(ctx, func(ctx context.Context, from database.Reader) (err error) {
		all, err = n.present(ctx, from)
		return err
	})
	return all, err
}

func (n *Nodes) present(ctx context.Context, from database.Reader) ([]store.Node, error) {
	rows, err := from.Query(ctx, `SELECT name, rules, seen, id = $1 FROM {s}.live WHERE seen > now() - $2::interval ORDER BY name, id`, n.self, present)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (node store.Node, err error) {
		err = row.Scan(&node.Name, &node.Rules, &node.Seen, &node.IsSelf)
		return node, err
	})
}

// compare returns how far our clock is ahead of the server's at least, which tells its time in
// between two of ours.
func compare(ctx context.Context, from database.Reader) (ahead time.Duration, err error) {
	asked := time.Now()
	var server time.Time
	if err := from.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&server); err != nil {
		return 0, err
	}
	switch heard := time.Now(); {
	case asked.After(server):
		return asked.Sub(server), nil
	case heard.Before(server):
		return heard.Sub(server), nil
	}
	return 0, nil
}

// TakeDuty implements store.Nodes.
func (n *Nodes) TakeDuty(ctx context.Context, name, duty string, lease time.Duration) (has bool, err error) {
	err = n.db.WriteRow(ctx, &has, `WITH taken AS (
			INSERT INTO {s}.duty AS d (name, node, until) VALUES ($1, $2, now() + $3::interval)
			ON CONFLICT (name) DO UPDATE SET node = $2, until = now() + $3::interval WHERE d.node = $2 OR d.until < now()
			RETURNING d.name)
		SELECT EXISTS (SELECT FROM taken)`, duty, database.Storable(name), lease)
	return has, err
}

// TakeTurn implements store.Turns. That nobody heard of one turn does no harm: there is a later
// one.
func (n *Nodes) TakeTurn(ctx context.Context, id store.SessionID, until time.Time) (turn int64, err error) {
	if err := n.db.Write(ctx, `DELETE FROM {s}.turn WHERE until < now()`); err != nil {
		return 0, err
	}
	err = n.db.WriteRow(ctx, &turn, `INSERT INTO {s}.turn AS t (upload, turn, until) VALUES ($1, 1, $2)
		ON CONFLICT (upload) DO UPDATE SET turn = t.turn + 1 RETURNING turn`, string(id), until)
	return turn, err
}

// Turn implements store.Turns.
func (n *Nodes) Turn(ctx context.Context, id store.SessionID) (turn int64, err error) {
	err = n.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		return from.QueryRow(ctx, `SELECT COALESCE(max(turn), 0) FROM {s}.turn WHERE upload = $1`, string(id)).Scan(&turn)
	})
	return turn, err
}

// Leave tells the others that this opening ends. If they do not hear it, they see it later.
func (n *Nodes) Leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_ = n.db.Write(ctx, `DELETE FROM {s}.live WHERE id = $1`, n.self)
}

var _ store.Nodes = (*Nodes)(nil)
