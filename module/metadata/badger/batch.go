package badger

import (
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// batch is the layer that the operations waiting at one moment share. They see each
// other's writes: its reader's last layer is its own.
type batch struct {
	reader
	*layer
	end func()

	nextID uint64
	ids    bool // some were taken
	state  stateRecord

	// replayed: the bytes that a change leaves without a file may be gone long since.
	// What nothing names is left to the sweep.
	replayed bool

	// changes are what the journal must have before the layer is committed.
	changes []store.Change
}

// newBatch begins a batch, which must be ended.
func newBatch(o *opened) *batch {
	committed, end := o.db.snapshot()
	own := newLayer()
	committed.ahead = append(slices.Clip(committed.ahead), own)
	return &batch{
		reader: committed,
		layer:  own, end: end, nextID: o.nextID, state: o.state,
	}
}

// run applies operations while there is room, and returns the others. A refusal is the
// operation's own result.
func (b *batch) run(operations []*operation) (rest []*operation) {
	for i, o := range operations {
		if b.isFull() {
			return operations[i:]
		}
		o.err = o.apply(b)
	}
	return nil
}

// isFull tells whether the layer is as large as what Badger is given at once.
func (b *batch) isFull() bool { return b.size >= transactionSize }

// commit has everybody see the layer, with what every one has: the state, and the
// next id if it moved.
func (b *batch) commit(o *opened) {
	if b.ids {
		b.put(nextIDKey, &idRecord{next: b.nextID})
	}
	b.put(stateKey, &b.state)
	o.db.commit(b.layer)
	o.nextID, o.state = b.nextID, b.state
}

// record has the journal know of a change.
func (b *batch) record(change store.Change) { b.changes = append(b.changes, change) }

// condemn leaves the bytes of a locator to the reaper.
func (b *batch) condemn(locator store.Locator) {
	if !b.replayed {
		b.await(condemnedKey(locator), &condemnedRecord{})
	}
}

// useID gives out an id, or the one that the journal has. Ids are never given out twice:
// a batch that fails gives its own back, and nobody has seen them.
func (b *batch) useID(known uint64) uint64 {
	b.ids = true
	if known == 0 {
		known = b.nextID
	}
	b.nextID = max(b.nextID, known+1)
	return known
}
