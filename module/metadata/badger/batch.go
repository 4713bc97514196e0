package badger

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// batch is a transaction that the operations waiting at one moment share. They see
// each other's writes.
type batch struct {
	txn    *badger.Txn
	nextID uint64
	ids    bool // some were taken
	state  stateRecord
	writes int

	// changes are what the journal must have before the transaction is committed.
	changes []registry.Change

	// cached are the keys of records written that lookups may have in memory.
	cached [][]byte

	// What becomes true in memory once the transaction is committed.
	condemned []registry.Locator
	buried    []registry.Locator
	opened    []uint64 // graves
	emptied   []uint64
}

func newBatch(o *opened) *batch {
	return &batch{txn: o.db.begin(), nextID: o.nextID, state: o.state}
}

// errWrite marks errors of writing to the transaction, which spoil all of it.
var errWrite = errors.New("writing to the transaction")

// run applies each operation. An operation's own refusal is its own result; a
// write that fails is everybody's.
func (b *batch) run(operations []*operation) error {
	for _, o := range operations {
		if o.err = o.apply(b); errors.Is(o.err, errWrite) {
			return o.err
		}
	}
	return nil
}

// seal writes what every transaction has: the state, and the next id if it moved.
func (b *batch) seal() error {
	if b.ids {
		if err := b.put(nextIDKey, &idRecord{next: b.nextID}); err != nil {
			return err
		}
	}
	return b.put(stateKey, &b.state)
}

// settle says that the transaction is committed.
func (b *batch) settle(o *opened) { o.nextID, o.state = b.nextID, b.state }

func (b *batch) get(key []byte, record codec) (bool, error) { return get(b.txn, key, record) }

func (b *batch) put(key []byte, record codec) error {
	return b.write(key, b.txn.Set(key, encode(key, record)))
}

func (b *batch) delete(key []byte) error { return b.write(key, b.txn.Delete(key)) }

func (b *batch) write(key []byte, err error) error {
	b.writes++
	if isCached(key) {
		b.cached = append(b.cached, key)
	}
	if err != nil {
		return fmt.Errorf("%w: record %q: %w", errWrite, key, err)
	}
	return nil
}

// record has the journal know of a change.
func (b *batch) record(change registry.Change) error {
	b.changes = append(b.changes, change)
	return nil
}

// takeID gives out an id. Ids are never given out twice: a batch that fails gives
// its own back, and nobody has seen them.
func (b *batch) takeID() uint64 {
	b.ids = true
	id := b.nextID
	b.nextID++
	return id
}

// condemn leaves the bytes of a locator to the reaper.
func (b *batch) condemn(locator registry.Locator) error {
	b.condemned = append(b.condemned, locator)
	return b.put(condemnedKey(locator), &condemnedRecord{})
}
