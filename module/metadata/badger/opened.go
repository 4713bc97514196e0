package badger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/journal"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// closeTimeout bounds the closing of a database: Badger's can hang.
const closeTimeout = 30 * time.Second

// errDatabase: the database is not what was written; the journal can make it anew.
var errDatabase = fmt.Errorf("%w: the database is not what was written", registry.ErrDamaged)

// opened is what a store has open: the database and its journal, at one position.
// After opening it is the committer's, but for the database.
type opened struct {
	db      *database
	ledger  *ledger
	logs    []string // of memtables that the last run left
	journal *journal.Journal
	id      string
	nextID  uint64
	state   stateRecord

	lost atomic.Bool // records, in a compaction
}

// read reads the database's own records. A new database has none.
func (o *opened) read() (known bool, err error) {
	err = o.db.view(func(r reader) (err error) {
		var store storeRecord
		ids := idRecord{next: 1}
		if known, err = r.get(storeIDKey, &store); err != nil {
			return err
		}
		if _, err = r.get(nextIDKey, &ids); err != nil {
			return err
		}
		o.id, o.nextID = store.id, ids.next
		_, err = r.get(stateKey, &o.state)
		return err
	})
	return known, err
}

// name gives a new database the ID of its journal.
func (o *opened) name() error {
	o.id = o.journal.Store()
	return o.write(storeIDKey, &storeRecord{o.id})
}

// write has the database take a record of its own, at once.
func (o *opened) write(key []byte, record codec) error {
	l := newLayer()
	l.put(key, record)
	o.db.commit(l)
	return o.db.storeAll()
}

func newStoreID() string { return rand.Text() }

// catchUp brings the database to the journal's end: an empty one from the newest
// checkpoint that is whole.
func (o *opened) catchUp(ctx context.Context) (replayed uint64, err error) {
	have, want := o.state.position, o.journal.Position()
	if have.Sequence > want.Sequence {
		return 0, fmt.Errorf("%w: the database has %d changes and the journal %d: run `caddy generic-registry rebuild --journal` to make the journal anew from the database, or restore a backup",
			registry.ErrDamaged, have.Sequence, want.Sequence)
	}
	switch {
	case have == want:
		return 0, nil
	case have.Sequence == want.Sequence:
		return 0, errHistories
	}
	if err := o.journal.Renew(); err != nil {
		return 0, err
	}
	if have.Sequence == 0 {
		start, found, err := o.journal.Start(ctx, want.Sequence)
		if err == nil && found {
			err = o.fill(ctx, start)
		}
		if err != nil {
			return 0, fmt.Errorf("making what the checkpoint has: %w", err)
		}
	}
	have = o.state.position
	r := replay{opened: o, total: want.Sequence - have.Sequence}
	tell := registry.ReplayProgressOf(ctx)
	err = o.journal.Read(ctx, have, want.Sequence, func(line []byte, change registry.Change, chain registry.Digest) error {
		tell(change.Sequence, want.Sequence)
		return r.take(ctx, line, change, chain)
	})
	if err == nil {
		err = r.flush()
	}
	switch {
	case errors.Is(err, journal.ErrHistories):
		err = errHistories
	case errors.Is(err, registry.ErrNotContinued):
		err = fmt.Errorf("%w: it is older than all that the journal has: %w", errDatabase, err)
	}
	return o.state.position.Sequence - have.Sequence, errors.Join(err, r.abandon())
}

// errHistories: database and journal do not belong together.
var errHistories = fmt.Errorf("%w: the journal and the database have two histories: run `caddy generic-registry rebuild` if the journal is right, or with --journal if the database is",
	registry.ErrDamaged)

// close closes both. What hangs may still write.
func (o *opened) close() error {
	err := closeDatabase(o.db)
	if errors.Is(err, errHangs) {
		return err
	}
	if err == nil {
		_ = o.ledger.mark() // without it the next start only takes longer
	}
	return errors.Join(err, o.journal.Close())
}

var errHangs = fmt.Errorf("closing database: no end after %s", closeTimeout)

func closeDatabase(db *database) error {
	closed := make(chan error, 1)
	go func() { closed <- db.badger.Close() }()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case err := <-closed:
		return err
	case <-timeout.C:
		return errHangs
	}
}
