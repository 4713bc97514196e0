package badger

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/journal"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const (
	queueLength = 1024

	// batchWeight bounds the records of one batch, far enough below what a
	// transaction takes with memtables of 8 MiB, for the longest names.
	batchWeight = 1024

	// operationWeight is more than the records that any publish or delete writes.
	operationWeight = 8
)

// operation is one mutation on its way through the committer. Its apply first
// reads and decides, then writes: one that returns an error has written nothing,
// or just what it says.
type operation struct {
	weight int
	apply  func(b *batch) error
	err    error
	done   chan struct{}
}

// submit queues an operation and waits for its batch to be committed. Once it is
// queued, ctx does not matter any more: it will happen.
func (s *Store) submit(ctx context.Context, weight int, apply func(b *batch) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &operation{weight: weight, apply: apply, done: make(chan struct{})}
	if err := s.enqueue(ctx, o); err != nil {
		return err
	}
	<-o.done
	return o.err
}

func (s *Store) enqueue(ctx context.Context, o *operation) error {
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed || s.failed.Load() {
		return s.unavailable()
	}
	select {
	case s.operations <- o:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitLoop is the committer: it takes what is waiting, commits it as one batch, and
// answers everybody. While it syncs, the next batch gathers.
func (s *Store) commitLoop() {
	defer close(s.committed)
	var next *operation
	for {
		if next == nil {
			var ok bool
			if next, ok = <-s.operations; !ok {
				return
			}
		}
		var operations []*operation
		operations, next = s.gather(next)
		s.commit(operations)
		for _, o := range operations {
			close(o.done)
		}
	}
}

// gather takes what waits behind the first operation, without waiting for more,
// and the one that did not fit.
func (s *Store) gather(first *operation) (operations []*operation, next *operation) {
	operations = append(operations, first)
	weight := first.weight
	for {
		select {
		case o, ok := <-s.operations:
			if !ok {
				return operations, nil
			}
			if weight += o.weight; weight > batchWeight {
				return operations, o
			}
			operations = append(operations, o)
		default:
			return operations, nil
		}
	}
}

// commit applies the operations, journals what they changed, has everybody see it,
// and sets the result of each. The database gets it later (behind.go).
func (s *Store) commit(operations []*operation) {
	s.committer.Lock()
	defer s.committer.Unlock()
	err := s.commitTogether(operations)
	if err == nil {
		return
	}
	for _, o := range operations {
		o.err = err
	}
}

// commitTogether returns an error that is the result of every operation.
func (s *Store) commitTogether(operations []*operation) error {
	if s.failed.Load() {
		return fmt.Errorf("%w: a commit failed", registry.ErrUnavailable)
	}
	if err := s.room.forChange(); err != nil {
		return err
	}
	if err := s.opened.db.awaitRoom(context.Background()); err != nil {
		return err
	}
	b := newBatch(s.opened)
	defer b.end()
	b.run(operations)
	if err := s.checkCompaction(); err != nil || len(b.records) == 0 {
		return err
	}
	if err := s.journal(b); err != nil {
		return err
	}
	s.cache.begin(b.seen+1, b.records)
	b.commit(s.opened)
	s.follow()
	return nil
}

// journal makes a batch's changes durable in the journal.
func (s *Store) journal(b *batch) error {
	if len(b.changes) == 0 {
		return nil
	}
	position, err := s.appendTo(s.opened.journal, b.changes)
	if err != nil {
		if errors.Is(err, journal.ErrUnclear) {
			s.fail("journalling", err)
			return fmt.Errorf("journalling: %w", err) // not ErrNoSpace, which says that nothing happened
		}
		return fmt.Errorf("journalling: %w", directory.Full(err))
	}
	b.state.position = position
	return nil
}
