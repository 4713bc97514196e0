package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Badger 4.9.6 forgets records when a compaction cannot create one of its tables, as
// when the disk fails or no descriptor is left: it deletes the tables that the new
// one was made of, and neither returns nor logs the error (levels.go defers its report
// before there is one). So once after each compaction all records are compared with
// each other, before anything is decided by one that is not there: what is missing
// could be published again, and its bytes swept.

// shape tells whether a database was compacted: the number and the bytes of the
// tables of each level.
type shape [8]struct {
	tables int
	bytes  int64
}

func shapeOf(db *badger.DB) (s shape) {
	for i, level := range db.Levels() {
		if i < len(s) {
			s[i].tables, s[i].bytes = level.NumTables, level.Size
		}
	}
	return s
}

// isCompacted tells whether there was a compaction on the way to another shape. A
// memtable that is written only adds a table to the first level.
func (s shape) isCompacted(now shape) bool {
	if now[0].tables < s[0].tables || now[0].bytes < s[0].bytes {
		return true
	}
	now[0] = s[0]
	return now != s
}

// checkAll compares all records with each other, and with the last transaction.
func (o *opened) checkAll(ctx context.Context) error {
	now := shapeOf(o.db) // first: a compaction from here on is another
	var problems []error
	err := o.db.View(func(txn *badger.Txn) error {
		var state stateRecord
		if _, err := get(txn, stateKey, &state); err != nil {
			return err
		}
		if state != o.state {
			problems = append(problems, errors.New("the last transaction is missing"))
		}
		a := audit{txn: txn, graves: make(map[uint64]bool), report: func(problem string) {
			if len(problems) == 0 { // one says enough
				problems = append(problems, errors.New(problem))
			}
		}}
		return a.run(ctx)
	})
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", errDatabase, errors.Join(problems...))
	}
	o.checked.Store(&now)
	return nil
}

// isUnchecked tells whether the database was compacted since its records were
// compared.
func (o *opened) isUnchecked() bool { return o.checked.Load().isCompacted(shapeOf(o.db)) }

// checkCompaction compares all records if there was a compaction since it was done
// last. With something missing the store fails, to be made anew from the journal.
// The committer's.
func (s *Store) checkCompaction() error {
	o := s.opened
	if o.lost.Load() {
		return errLost
	}
	now := shapeOf(o.db)
	if !o.checked.Load().isCompacted(now) {
		o.checked.Store(&now)
		return nil
	}
	err := o.checkAll(context.Background())
	if err == nil {
		return nil
	}
	o.lost.Store(true)
	s.failed.Store(true)
	s.log.Error("the database lost records in a compaction; refusing changes until it is made anew from the journal", slog.Any("error", err))
	s.wakeWatch()
	return errLost
}

var errLost = fmt.Errorf("%w: the database lost records in a compaction", registry.ErrUnavailable)

// trust returns an error when what was not found in the database may have been there.
// It is asked after a read, with s.use held.
func (s *Store) trust() error {
	if s.opened.lost.Load() {
		return errLost
	}
	if !s.opened.isUnchecked() {
		return nil
	}
	s.committer.Lock()
	defer s.committer.Unlock()
	return s.checkCompaction()
}
