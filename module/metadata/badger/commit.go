package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/journal"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const (
	queueLength = 1024

	// batchWeight bounds the records of one transaction, far enough below what a
	// memtable of 8 MiB takes for the longest names.
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

// commitLoop is the committer: it takes what is waiting, commits it as one
// transaction, and answers everybody. While it syncs, the next batch gathers.
func (s *Store) commitLoop() {
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

// commit applies the operations, journals what they changed, commits it, and sets
// the result of each.
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
	b := newBatch(s.opened)
	defer b.txn.Discard()
	err := b.run(operations)
	if lost := s.checkCompaction(); lost != nil {
		return lost
	}
	if err != nil || b.writes == 0 {
		return err
	}
	if err := s.journal(b); err != nil {
		return err
	}
	if err := s.store(b); err != nil {
		// Whether it was stored is unknown, and a next sync may succeed without
		// having stored it. The journal has it: opening again makes it so.
		s.fail("committing", err)
		return fmt.Errorf("committing: %w", err)
	}
	s.remember(b)
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

// store commits what is journalled.
func (s *Store) store(b *batch) error {
	if err := b.seal(); err != nil {
		return err
	}
	s.cache.begin(b.cached)
	if err := s.commitTxn(s.opened.db, b.txn); err != nil {
		return err
	}
	s.cache.done()
	b.settle(s.opened)
	s.commits.Add(1)
	s.room.followMemtable()
	return nil
}

// fail stops all changes until the store is opened again.
func (s *Store) fail(what string, err error) {
	s.failed.Store(true)
	s.log.Error("a change may or may not be stored; refusing changes until the store is opened again and checked",
		slog.String("failed", what), slog.Any("error", err))
	s.wakeWatch()
}

// remember brings memory up to date with what is committed.
func (s *Store) remember(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, locator := range b.condemned {
		s.condemned[locator] = struct{}{}
	}
	for _, locator := range b.buried {
		delete(s.condemned, locator)
	}
	s.graves = append(s.graves, b.opened...)
	for _, id := range b.emptied {
		s.graves = removeID(s.graves, id)
	}
}
