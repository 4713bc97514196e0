package badger

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/exit"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/names"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// transactionSize bounds what Badger is given in one transaction, but for what one operation
// may add: a transaction may have 15 % of a memtable, which is 1.2 MiB.
const transactionSize = 512 << 10

// maxAhead bounds what is ahead of Badger but for the last batch, and so the memory that
// it takes and what a start after a crash replays.
const maxAhead = 4 * transactionSize

// mostUnmerged is with how many tables on level 0 Badger gets nothing until a compaction has
// merged some: each read looks at all of them.
const mostUnmerged = 15

// database puts committed layers in front of Badger: a read sees all of them, and Badger
// gets several of them at once, later. Badger's transactions are numbered here: with
// Badger's own numbers a read that begins would wait for the transaction in progress, and
// so for the disk.
//
// Everything but close may run concurrently; commit is for one goroutine at a time,
// and so is store.
type database struct {
	badger *badger.DB
	ledger *compactions.Ledger
	found  uint64 // the last transaction that there was when it was opened
	last   uint64 // the last number that a transaction got, whatever became of it

	names names.Lists // of what is committed

	mu        sync.Mutex
	ahead     []*layer       // committed, and not in Badger yet, the oldest first
	size      int            // of those
	committed uint64         // layers since it was opened
	behind    int            // layers of which nobody was told yet that Badger has them
	stored    uint64         // the last transaction that Badger has for certain
	readers   map[uint64]int // reads in progress, by the transaction that they see
	changed   chan struct{}  // closed when some have followed, or the database failed

	// failure is why nobody touches Badger any more, nil while it is good. What the
	// layers have can be read all the same.
	failure atomic.Pointer[error]
	failed  func(error) // told of the failure, once; set before others have the database
}

// openBadger returns ErrUnavailable for whatever Badger says: its errors do not tell a
// damaged file from one that cannot be opened now. errStuck when it panicked: what it
// has begun may go on. Where it gives up (exit.Err), nothing of it writes yet.
func openBadger(options badger.Options, ledger *compactions.Ledger) (db *database, err error) {
	var opened *badger.DB
	exit.Survive()
	err = guard(func() (err error) {
		opened, err = badger.OpenManaged(options)
		return err
	})
	if errors.Is(err, errPanic) {
		return nil, fmt.Errorf("%w: opening the database: %w", errStuck, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: opening the database: %w", store.ErrUnavailable, err)
	}
	newest := opened.MaxVersion()
	db = &database{
		badger: opened, ledger: ledger, found: newest, last: newest, stored: newest,
		readers: make(map[uint64]int), changed: make(chan struct{}), failed: func(error) {},
	}
	db.release()
	return db, nil
}

// closeBadger closes the database. errStuck when Badger panicked over it.
func closeBadger(db *database) error {
	err := guard(db.badger.Close)
	if errors.Is(err, errPanic) {
		err = fmt.Errorf("%w: closing the database: %w", errStuck, err)
	}
	return err
}

var (
	errPanic = errors.New("the database broke down")
	// errStuck: what Badger began may go on writing as long as this process lives, so
	// nobody may open the database again before it ends.
	errStuck = fmt.Errorf("%w: Badger neither opened nor closed its database; restart Caddy", store.ErrUnavailable)
)

// guard makes a panic of Badger's an error. A mapped page that the disk does not give
// is a panic here, and would end the process otherwise.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case exit.Err:
			err = exit.Err
		default:
			err = fmt.Errorf("%w: %v", errPanic, cause)
		}
	}()
	return do()
}

// touch has something done with Badger, which happens nowhere else between opening and
// closing. Once that has failed nobody touches Badger again: a memtable that could not
// be made leaves a nil pointer behind, and a sync that failed is not heard of twice.
// ErrUnavailable.
func (d *database) touch(do func() error) error {
	if err := d.good(); err != nil {
		return err
	}
	if err := guard(do); err != nil {
		return d.fail(err)
	}
	return nil
}

// good returns why the database has failed, nil while it has not. A compaction that failed
// behind its back counts. ErrUnavailable.
func (d *database) good() error {
	if failure := d.failure.Load(); failure != nil {
		return *failure
	}
	if err := d.ledger.Failure(); err != nil {
		return d.fail(err)
	}
	return nil
}

// fail says that the database has failed, to those who wait for it too, and returns
// what everybody hears from now on. ErrUnavailable.
func (d *database) fail(cause error) error {
	failure := fmt.Errorf("%w: the database failed: %w", store.ErrUnavailable, cause)
	if !d.failure.CompareAndSwap(nil, &failure) {
		return *d.failure.Load()
	}
	d.mu.Lock()
	d.signal()
	d.mu.Unlock()
	d.failed(cause)
	return failure
}

func (d *database) hasFailed() bool { return d.failure.Load() != nil }

// view runs a read of what is committed.
func (d *database) view(read func(r reader) error) error {
	r, end := d.snapshot()
	defer end()
	return read(r)
}

// snapshot begins a read of what is committed, which must be ended once.
func (d *database) snapshot() (reader, func()) {
	at, r := d.enter()
	_ = d.touch(func() error { // without a transaction, the reader meets the same error
		r.txn = d.badger.NewTransactionAt(at, false)
		return nil
	})
	return r, func() {
		_ = d.touch(func() error { r.txn.Discard(); return nil })
		d.leave(at)
	}
}

func (d *database) enter() (at uint64, r reader) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers[d.stored]++
	return d.stored, reader{db: d, ahead: d.ahead, seen: d.committed}
}

func (d *database) leave(at uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readers[at]--; d.readers[at] == 0 {
		delete(d.readers, at)
	}
}

// commit has all reads that begin from now on see a layer.
func (d *database) commit(l *layer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ahead = append(d.ahead, l)
	d.size += l.size
	d.names.Note(d.committed+1, l.packages)
	d.committed++
	d.behind++
}

// persist gives Badger the oldest layers that it does not have, durably, and returns
// them, for followed; none when it has all. After an error nobody knows whether Badger
// has them, and the database has failed.
func (d *database) persist() ([]*layer, error) {
	layers := d.next()
	if len(layers) == 0 {
		return nil, nil
	}
	if err := d.awaitMerged(); err != nil {
		return nil, err
	}
	d.last++
	if err := d.touch(func() error { return d.write(layers) }); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stored = d.last
	d.ahead = d.ahead[len(layers):]
	if len(d.ahead) == 0 {
		d.ahead = nil
	}
	for _, l := range layers {
		d.size -= l.size
	}
	d.release()
	return layers, nil
}

// awaitMerged waits while too many tables are on level 0, or until the database fails. Badger
// would wait for ever, and so would its Close, for a compaction that failed. ErrUnavailable.
func (d *database) awaitMerged() error {
	return poll(context.Background(), func() (merged bool, err error) {
		err = d.touch(func() error {
			merged = d.badger.Levels()[0].NumTables < mostUnmerged
			return nil
		})
		return merged, err
	})
}

// write has Badger take layers in one transaction.
func (d *database) write(layers []*layer) error {
	txn := d.badger.NewTransactionAt(d.last, true)
	defer txn.Discard()
	for _, l := range layers {
		if err := l.writeTo(txn); err != nil {
			return err
		}
	}
	return txn.CommitAt(d.last, nil)
}

// isFlushed tells whether what there was when it was opened is in tables, and so on disk:
// the logs of memtables can be read without that, if a sync failed or never came.
// ErrUnavailable.
func (d *database) isFlushed() (flushed bool, err error) {
	err = d.touch(func() error {
		flushed = d.found == 0 || slices.ContainsFunc(d.badger.Tables(), func(t badger.TableInfo) bool { return t.MaxVersion >= d.found })
		return nil
	})
	return flushed, err
}

// followed says that Badger has layers, to those who wait for it.
func (d *database) followed(layers []*layer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behind -= len(layers)
	d.signal()
}

// next returns the layers of the next transaction.
func (d *database) next() []*layer {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := 0
	for i, l := range d.ahead {
		if size += l.size; size > transactionSize && i > 0 {
			return d.ahead[:i]
		}
	}
	return d.ahead
}

// persistAll gives Badger all that it does not have.
func (d *database) persistAll() error {
	for {
		layers, err := d.persist()
		if err != nil || len(layers) == 0 {
			return err
		}
		d.followed(layers)
	}
}

// signal requires d.mu.
func (d *database) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// awaitRoom waits until no more than maxAhead is ahead of Badger. Its errors are
// those of await.
func (d *database) awaitRoom(ctx context.Context) error {
	return d.await(ctx, func() bool { return d.size <= maxAhead })
}

// awaitPersisted waits until Badger has what is committed now. Its errors are those of
// await.
func (d *database) awaitPersisted(ctx context.Context) error {
	d.mu.Lock()
	last := d.committed
	d.mu.Unlock()
	return d.await(ctx, func() bool { return d.committed-uint64(d.behind) >= last })
}

// await waits until Badger has got so much that a condition holds, which is asked
// with d.mu held. ErrUnavailable when the database failed.
func (d *database) await(ctx context.Context, reached func() bool) error {
	for {
		d.mu.Lock()
		over, changed := reached(), d.changed
		d.mu.Unlock()
		if over {
			return nil
		}
		if failure := d.failure.Load(); failure != nil {
			return *failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// release lets compactions drop what no read sees any more. Requires d.mu, or that
// nobody else has the database.
func (d *database) release() {
	oldest := d.stored
	for at := range d.readers {
		oldest = min(oldest, at)
	}
	d.badger.SetDiscardTs(oldest)
}
