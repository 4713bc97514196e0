package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Badger 4.9.6 forgets records when a compaction cannot create one of its tables, as
// when the disk fails or no descriptor is left: it deletes the tables that the new
// one was made of, and neither returns nor logs the error (levels.go defers its report
// before there is one). So before anything is decided by a record that is not there,
// the tables of compactions are counted (package compactions); if one is missing, all records
// are compared with each other. What is missing could be published again, and its
// bytes swept.

// compactionPatience is how long compactions in progress may show nothing before they
// are not waited for: one that ended can be accounted for once they have ended too.
const compactionPatience = 2 * time.Second

// checkAll compares all records with each other, and with the last transaction.
func (o *opened) checkAll(ctx context.Context) error {
	_, at, err := o.ledger.Accounted() // first: a compaction from here on is another
	if err != nil {
		return err
	}
	var problems []error
	err = o.db.view(func(r reader) error {
		var state stateRecord
		if _, err := r.get(stateKey, &state); err != nil {
			return err
		}
		if state != o.state {
			problems = append(problems, errors.New("the last transaction is missing"))
		}
		return newComparison(r, func(problem string) {
			if len(problems) == 0 { // one says enough
				problems = append(problems, errors.New(problem))
			}
		}).run(ctx)
	})
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", errDatabase, errors.Join(problems...))
	}
	o.ledger.Accept(at)
	return nil
}

// checkUnlessKnown compares all records of a database that was just opened, unless
// the file checked says that it was done and nothing happened since.
func (o *opened) checkUnlessKnown(ctx context.Context, log *slog.Logger) error {
	known, _, err := o.ledger.Accounted()
	if err != nil || known {
		return err
	}
	if o.state != (stateRecord{}) {
		log.Info(comparing)
	}
	return o.checkAll(ctx)
}

// What is logged before all records are compared: it takes seconds for a million files.
const (
	comparing   = "comparing all records: it is not known whether the last start or stop came to its end"
	unaccounted = "comparing all records: a compaction was in progress, a table of it is missing, or a checkpoint met damage"
)

// checkCompaction makes sure that nothing is lost or damaged, unless that is known. Otherwise
// the store fails, to be rebuilt from the journal. The committer's.
func (s *Store) checkCompaction() error {
	o := s.opened
	if err := o.db.good(); err != nil {
		return err
	}
	all, err := s.awaitCompactions()
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if all {
		return nil
	}
	s.log.Info(unaccounted)
	if err = o.checkAll(context.Background()); err == nil {
		return nil
	}
	return o.db.fail(fmt.Errorf("it lost records: %w", err))
}

// awaitCompactions waits for compactions in progress, as long as they show that they are, up
// to a limit. errSlow.
func (s *Store) awaitCompactions() (all bool, err error) {
	var last compactions.Count
	began, wait := time.Now(), s.compactions.wait(s.home)
	since := began
	err = poll(context.Background(), func() (bool, error) {
		var at compactions.Count
		var err error
		if all, at, err = s.opened.ledger.Accounted(); err != nil || all {
			return all, err
		}
		if time.Since(began) >= wait && s.opened.ledger.IsWorthWaiting() {
			return false, s.compactions.pass(wait)
		}
		if at != last {
			last, since = at, time.Now()
		}
		return !s.opened.ledger.IsWorthWaiting() || time.Since(since) > s.patience, nil
	})
	return all, err
}

// trust returns an error when what was not found in the database may have been there.
// It is asked after a read, with s.use held.
func (s *Store) trust() error {
	if err := s.opened.db.good(); err != nil {
		return err
	}
	if all, _, err := s.opened.ledger.Accounted(); err == nil && all {
		return nil
	}
	s.committer.Lock()
	defer s.committer.Unlock()
	return s.checkCompaction()
}
