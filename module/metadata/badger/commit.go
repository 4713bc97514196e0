package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"

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

// batch is a transaction that the operations waiting at one moment share. They see
// each other's writes.
type batch struct {
	store *Store
	txn   *badger.Txn

	// What becomes true in memory once the transaction is committed.
	condemned []registry.Locator
	buried    []registry.Locator
	opened    []uint64 // graves
	emptied   []uint64
	idsTaken  bool
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

// commit applies the operations and sets the result of each.
func (s *Store) commit(operations []*operation) {
	b := &batch{store: s, txn: s.db.NewTransaction(true)}
	defer b.txn.Discard()
	firstID := s.nextID
	err := b.run(operations)
	if err == nil {
		if err = s.commitTxn(b.txn); err == nil {
			b.publish()
			return
		}
		// Whether it was stored is unknown, and a next sync may succeed without
		// having stored it: nothing more is promised until the store is reopened.
		s.failed.Store(true)
		s.log.Error("metadata commit failed; refusing changes until restart", slog.Any("error", err))
		err = fmt.Errorf("committing: %w", err)
	}
	s.nextID = firstID
	for _, o := range operations {
		o.err = err
	}
}

// errWrite marks errors of writing to the transaction, which spoil all of it.
var errWrite = errors.New("writing to the transaction")

// run applies each operation. An operation's own refusal is its own result; a
// write that fails is everybody's.
func (b *batch) run(operations []*operation) error {
	if b.store.failed.Load() {
		return fmt.Errorf("%w: a commit failed", registry.ErrUnavailable)
	}
	for _, o := range operations {
		if o.err = o.apply(b); errors.Is(o.err, errWrite) {
			return o.err
		}
	}
	if !b.idsTaken {
		return nil
	}
	return b.put(nextIDKey, &idRecord{next: b.store.nextID})
}

func (b *batch) get(key []byte, record codec) (bool, error) { return get(b.txn, key, record) }

func (b *batch) put(key []byte, record codec) error {
	return b.write(key, b.txn.Set(key, encode(key, record)))
}

func (b *batch) delete(key []byte) error { return b.write(key, b.txn.Delete(key)) }

func (b *batch) write(key []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%w: record %q: %w", errWrite, key, err)
	}
	return nil
}

// takeID gives out an id. Ids are never given out twice: a batch that fails gives
// its own back, and nobody has seen them.
func (b *batch) takeID() uint64 {
	b.idsTaken = true
	id := b.store.nextID
	b.store.nextID++
	return id
}

// condemn leaves the bytes of a locator to the reaper.
func (b *batch) condemn(locator registry.Locator) error {
	b.condemned = append(b.condemned, locator)
	key := condemnedKey(locator)
	return b.put(key, &condemnedRecord{})
}

// publish brings memory up to date with what is committed.
func (b *batch) publish() {
	s := b.store
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
