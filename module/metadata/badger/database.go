package badger

import (
	"context"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// storeSize bounds what Badger is given in one transaction, but for what one operation
// may add: a transaction may have 15 % of a memtable, which is 1.2 MiB.
const storeSize = 512 << 10

// maxAhead bounds what is ahead of Badger but for the last batch, and so the memory that
// it takes and what a start after a crash replays.
const maxAhead = 4 * storeSize

// database is Badger's, with what is committed and what Badger has told apart: a
// commit is a layer that all reads see from then on, and Badger is given several at
// once, behind. Its transactions are numbered here: with Badger's own numbers whoever
// begins to read waits for the one that is under way, and so for the disk.
//
// Everything but close may run concurrently; commit is for one goroutine at a time,
// and so is store.
type database struct {
	badger *badger.DB
	last   uint64 // the last number that a transaction got, whatever became of it

	mu        sync.Mutex
	ahead     []*layer       // committed, and not in Badger yet, the oldest first
	size      int            // of those
	committed uint64         // layers since it was opened
	behind    int            // layers of which nobody was told yet that Badger has them
	stored    uint64         // the last transaction that Badger has for certain
	readers   map[uint64]int // reads under way, by the transaction that they see
	stopped   bool           // Badger gets nothing any more
	changed   chan struct{}  // closed when some have followed, or the database stopped
}

// openBadger returns errDatabase for what Badger cannot make sense of.
func openBadger(options badger.Options) (db *database, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: opening it: %v", errDatabase, cause)
		}
	}()
	opened, err := badger.OpenManaged(options)
	if err != nil {
		if !directory.IsRefusal(err) {
			err = fmt.Errorf("%w: opening it: %w", errDatabase, err)
		}
		return nil, err
	}
	newest := opened.MaxVersion()
	db = &database{
		badger: opened, last: newest, stored: newest,
		readers: make(map[uint64]int), changed: make(chan struct{}),
	}
	db.release()
	return db, nil
}

// view runs a read of what is committed.
func (d *database) view(read func(r reader) error) error {
	r, end := d.snapshot()
	defer end()
	return read(r)
}

// snapshot begins a read of what is committed, which must be ended once.
func (d *database) snapshot() (reader, func()) {
	at, r := d.enter()
	r.txn = d.badger.NewTransactionAt(at, false)
	return r, func() {
		r.txn.Discard()
		d.leave(at)
	}
}

func (d *database) enter() (at uint64, r reader) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers[d.stored]++
	return d.stored, reader{ahead: d.ahead, seen: d.committed}
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
	d.committed++
	d.behind++
}

// store gives Badger the oldest layers that it does not have, durably, and returns
// them, for followed; none when it has all. After an error nobody knows whether Badger
// has them.
func (d *database) store() ([]*layer, error) {
	layers := d.next()
	if len(layers) == 0 {
		return nil, nil
	}
	d.last++
	txn := d.badger.NewTransactionAt(d.last, true)
	defer txn.Discard()
	for _, l := range layers {
		if err := l.writeTo(txn); err != nil {
			return nil, err
		}
	}
	if err := txn.CommitAt(d.last, nil); err != nil {
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
		if size += l.size; size > storeSize && i > 0 {
			return d.ahead[:i]
		}
	}
	return d.ahead
}

// storeAll gives Badger all that it does not have.
func (d *database) storeAll() error {
	for {
		layers, err := d.store()
		if err != nil || len(layers) == 0 {
			return err
		}
		d.followed(layers)
	}
}

// stop says that Badger gets nothing any more, to those who wait for it. Reads go on.
func (d *database) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.signal()
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

// awaitStored waits until Badger has what is committed now. Its errors are those of
// await.
func (d *database) awaitStored(ctx context.Context) error {
	d.mu.Lock()
	last := d.committed
	d.mu.Unlock()
	return d.await(ctx, func() bool { return d.committed-uint64(d.behind) >= last })
}

// await waits until Badger has got so much that a condition holds, which is asked
// with d.mu held. ErrUnavailable when it gets nothing any more.
func (d *database) await(ctx context.Context, reached func() bool) error {
	for {
		d.mu.Lock()
		over, stopped, changed := reached(), d.stopped, d.changed
		d.mu.Unlock()
		switch {
		case over:
			return nil
		case stopped:
			return errNotWritten
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *database) isStopped() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped
}

var errNotWritten = fmt.Errorf("%w: the database could not be written", registry.ErrUnavailable)

// release lets compactions drop what no read sees any more. Requires d.mu, or that
// nobody else has the database.
func (d *database) release() {
	oldest := d.stored
	for at := range d.readers {
		oldest = min(oldest, at)
	}
	d.badger.SetDiscardTs(oldest)
}
