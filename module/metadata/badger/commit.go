package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// batchWeight bounds the records of one batch, and of one operation. What they
	// take is bounded besides (transactionSize).
	batchWeight = 1024

	// operationWeight is more than the records that any publish or delete writes.
	operationWeight = 10
)

// operation is one mutation on its way through the committer. Its apply first
// reads and decides, then writes: one that returns an error has written nothing,
// or just what it says.
type operation struct {
	weight int
	apply  func(b *batch) error
	err    error
}

// submit waits for an operation's batch to be committed. When ctx ends before, the outcome of
// the operation is unknown, and it may be applied after submit has returned. So it writes
// nothing that its caller reads.
func (s *Store) submit(ctx context.Context, weight int, apply func(b *batch) error) error {
	_, err := ask(ctx, s, weight, func(b *batch) (struct{}, error) { return struct{}{}, apply(b) })
	return err
}

// change is submit for what the journal has as a change.
func (s *Store) change(ctx context.Context, change store.Change, apply func(b *batch) error) error {
	return s.submit(ctx, operationWeight, func(b *batch) error {
		err := apply(b)
		if err == nil {
			b.record(change)
		}
		return err
	})
}

// ask is submit for an operation with a result, which is zero when the outcome is unknown.
func ask[T any](ctx context.Context, s *Store, weight int, apply func(b *batch) (T, error)) (T, error) {
	var result, unknown T
	o := &operation{weight: weight, apply: func(b *batch) (err error) {
		result, err = apply(b)
		return err
	}}
	if err := ctx.Err(); err != nil {
		return unknown, err
	}
	wait, err := s.join(o)
	if err != nil {
		return unknown, err
	}
	if err := wait(ctx); err != nil {
		return unknown, fmt.Errorf("waiting for a change that is being stored: %w", err)
	}
	return result, o.err
}

// join gives an operation its place in a round of the committer.
func (s *Store) join(o *operation) (wait func(ctx context.Context) error, err error) {
	if err := s.enterToChange(); err != nil {
		return nil, err
	}
	defer s.use.RUnlock()
	return s.rounds.Add(o), nil
}

// work is the committer: it commits the operations of a round as one batch, and answers
// everybody in them. While it syncs, the next round gathers.
func (s *Store) work(operations []*operation) error {
	if err := s.awaitRoom(&s.room); err != nil {
		for _, o := range operations {
			o.err = err
		}
		return nil
	}
	s.commit(operations)
	if s.inline {
		_ = s.checkpointIfDue() // its errors are logged
	}
	return nil
}

// commit applies the operations, journals what they changed, and has everybody see it.
// The database gets it later (persist.go).
func (s *Store) commit(operations []*operation) {
	s.committer.Lock()
	defer s.committer.Unlock()
	for len(operations) > 0 {
		began := time.Now()
		rest := s.commitTogether(operations)
		s.batches.Note(time.Since(began))
		operations = rest
	}
}

// errRefused: the journal has nothing of a batch, and can be used on. A blob that one change
// names may have been lost.
var errRefused = errors.New("journalling")

// commitTogether commits as many of the operations as fit a batch, and returns the
// others. Where the journal refuses the batch, each is committed by itself: only one that names
// a lost blob is refused.
func (s *Store) commitTogether(operations []*operation) (rest []*operation) {
	b, err := s.beginBatch()
	if err == nil {
		defer b.end()
		rest = b.run(operations)
		err = s.commitBatch(b)
	}
	together := operations[:len(operations)-len(rest)]
	for i, o := range together {
		if errors.Is(err, errRefused) && len(together) > 1 {
			s.commitTogether(together[i : i+1])
		} else if err != nil {
			o.err = err
		}
	}
	return rest
}

func (s *Store) beginBatch() (*batch, error) {
	if s.failed.Load() {
		return nil, fmt.Errorf("%w: a change failed", store.ErrUnavailable)
	}
	if err := firstError(s.descriptors.ForChange, s.space.forChange); err != nil {
		return nil, err
	}
	return newBatch(s.opened), nil
}

func (s *Store) commitBatch(b *batch) error {
	if err := s.checkCompaction(); err != nil || len(b.records) == 0 {
		return err
	}
	if err := s.journal(b); err != nil {
		return err
	}
	s.show(b)
	return nil
}

// show has everybody see a batch that the journal has.
func (s *Store) show(b *batch) {
	s.cache.begin(b.seen+1, b.records)
	b.commit(s.opened)
	s.Announce(b.state.position.Sequence)
	signal(s.ahead)
}

// journal makes a batch's changes durable in the journal.
func (s *Store) journal(b *batch) error {
	if len(b.changes) == 0 {
		return nil
	}
	takeBack := s.descriptors.Lend() // the journal may begin a segment
	end := waiting.Attend(s.log, "writing to the journal")
	position, err := s.appendTo(s.opened.journal, b.changes)
	end()
	takeBack()
	if err != nil {
		if errors.Is(err, journal.ErrUnclear) {
			s.log.Error("a change may or may not be in the journal; refusing changes until the store is opened again and checked", slog.Any("error", err))
			s.refuse()
			return fmt.Errorf("journalling: %w", err) // not ErrNoSpace, which says that nothing happened
		}
		if errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		return fmt.Errorf("journalling: %w", directory.NotWritten(err))
	}
	b.state.position = position
	return nil
}
