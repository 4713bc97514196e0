package badger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// errDatabase: there is evidence that the database is not what was written, such as a
// checksum; the journal can make it anew. That Badger does not open is none.
var errDatabase = fmt.Errorf("%w: the database is not what was written", store.ErrDamaged)

// opened is what a store has open: the database and its journal, at one position.
// After opening it is the committer's, but for the database.
type opened struct {
	home    *home
	db      *database
	ledger  *compactions.Ledger
	journal *journal.Journal
	id      string
	nextID  uint64
	state   stateRecord
	links   string // the directory that Badger reads, of a read-only file system
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
func (o *opened) write(key []byte, record coding.Record) error {
	l := newLayer()
	l.put(key, record)
	o.db.commit(l)
	return o.db.persistAll()
}

func newStoreID() string { return rand.Text() }

// catchUp brings the database to the journal's end: an empty one from the newest
// checkpoint that is whole.
func (o *opened) catchUp(ctx context.Context) (replayed uint64, err error) {
	if behind, err := o.isBehind(); err != nil || !behind {
		return 0, err
	}
	if !o.home.readOnly {
		if err := o.journal.Renew(); err != nil {
			return 0, err
		}
	}
	have, want := o.state.position, o.journal.Position()
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
	err = o.journal.Read(ctx, have, want.Sequence, func(line []byte, change store.Change, chain store.Digest) error {
		return r.take(ctx, line, change, chain)
	})
	if err == nil {
		err = r.flush()
	}
	switch {
	case errors.Is(err, journal.ErrHistories):
		err = errHistories
	case errors.Is(err, store.ErrNotContinued):
		err = fmt.Errorf("%w: it is older than all that the journal has: %w", errDatabase, err)
	}
	return o.state.position.Sequence - have.Sequence, errors.Join(err, r.abandon())
}

// isBehind tells whether the database lacks changes that the journal has. ErrDamaged when
// the journal does not go on from where the database is.
func (o *opened) isBehind() (bool, error) {
	have, want := o.state.position, o.journal.Position()
	switch {
	case have == want:
		return false, nil
	case have.Sequence == want.Sequence:
		return false, errHistories
	case have.Sequence > want.Sequence:
		return false, fmt.Errorf("%w: the database has %d changes and the journal %d: run `caddy generic-registry rebuild --journal` to rebuild the journal from the database, or restore a backup",
			store.ErrDamaged, have.Sequence, want.Sequence)
	}
	return true, nil
}

// errHistories: database and journal do not belong together.
var errHistories = fmt.Errorf("%w: the journal and the database have two histories: run `caddy generic-registry rebuild` if the journal is right, or with --journal if the database is",
	store.ErrDamaged)

// close closes both, however long that takes. errStuck when the database is not closed.
func (o *opened) close(ctx context.Context) error {
	err := o.closeDatabase(ctx)
	if err == nil {
		o.settle()
	}
	if o.journal == nil {
		return err
	}
	return errors.Join(err, o.journal.Close())
}

// settle keeps, of a database that is closed, whether all compactions are accounted for.
func (o *opened) settle() {
	if all, _, err := o.ledger.Accounted(); err == nil && !all {
		o.home.log.Warn("the database may have lost records; they are compared when it opens again")
	}
	_ = o.ledger.WriteChecked() // without it the next start only takes longer
}

func (o *opened) closeDatabase(ctx context.Context) error {
	err := o.home.attend(ctx, "closing the database", func() error { return closeBadger(o.db) })
	if err == nil && o.links != "" {
		err = os.RemoveAll(o.links)
	}
	return err
}

// hangTime is how long a call of Badger's may show no progress before people are told.
const hangTime = time.Minute

// attend waits for a call of Badger's, which ends when it likes, and says so when it
// has shown no progress for long: then it may never end.
func (h *home) attend(ctx context.Context, what string, call func() error) error {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: what})
	done := make(chan error, 1)
	go func() { done <- call() }()
	ticker := time.NewTicker(h.hang / 10)
	defer ticker.Stop()
	for last, since := h.signs.Load(), time.Now(); ; {
		select {
		case err := <-done:
			if errors.Is(err, errStuck) {
				h.stuck.Store(true)
			}
			return err
		case <-ticker.C:
		}
		if now := h.signs.Load(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) >= h.hang {
			since = time.Now()
			h.log.Error("Badger hangs: a call shows no progress; if it stays so, restart Caddy", slog.String("call", what), slog.Duration("for", h.hang))
			waiting.ReportProgress(ctx, waiting.Progress{Doing: fmt.Sprintf("%s hangs: no progress for %s; if it stays so, restart Caddy", what, h.hang)})
		}
	}
}
