package badger

import (
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
)

// database is Badger's, with its transactions numbered here. Badger's own numbers have
// whoever begins to read wait for the commit that is under way, and so for the disk; here a
// read sees what is committed when it begins. Reads may run concurrently with everything
// but close; begin, commit and update are for one goroutine at a time.
type database struct {
	badger *badger.DB
	last   uint64 // the last number that a commit got, whatever became of it

	mu      sync.Mutex
	visible uint64         // the last commit that reads see
	readers map[uint64]int // reads under way, by the commit that they see
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
	db = &database{badger: opened, last: newest, visible: newest, readers: make(map[uint64]int)}
	db.release()
	return db, nil
}

// view runs a read of what is committed.
func (d *database) view(read func(txn *badger.Txn) error) error {
	txn, end := d.snapshot()
	defer end()
	return read(txn)
}

// snapshot begins a read of what is committed, which must be ended once.
func (d *database) snapshot() (txn *badger.Txn, end func()) {
	at := d.enter()
	txn = d.badger.NewTransactionAt(at, false)
	return txn, func() {
		txn.Discard()
		d.leave(at)
	}
}

func (d *database) enter() (at uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers[d.visible]++
	return d.visible
}

func (d *database) leave(at uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readers[at]--; d.readers[at] == 0 {
		delete(d.readers, at)
	}
}

// begin begins a transaction that changes what is committed. It must be discarded.
func (d *database) begin() *badger.Txn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.badger.NewTransactionAt(d.visible, true)
}

// commit has all reads that begin from now on see a transaction. After an error nobody
// sees it before the database is opened again, and perhaps not then.
func (d *database) commit(txn *badger.Txn) error {
	d.last++
	if err := txn.CommitAt(d.last, nil); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visible = d.last
	d.release()
	return nil
}

// update commits what write does.
func (d *database) update(write func(txn *badger.Txn) error) error {
	txn := d.begin()
	defer txn.Discard()
	if err := write(txn); err != nil {
		return err
	}
	return d.commit(txn)
}

// release lets compactions drop what no read sees any more. Requires d.mu, or that
// nobody else has the database.
func (d *database) release() {
	oldest := d.visible
	for at := range d.readers {
		oldest = min(oldest, at)
	}
	d.badger.SetDiscardTs(oldest)
}
