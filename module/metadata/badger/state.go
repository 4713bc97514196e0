package badger

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// stateRecord is written by every batch: the journal's position that the
// database has reached, and sums over what there is. Badger can lose tables and
// memtables out of the middle without a word; the sums then no longer hold.
type stateRecord struct {
	position store.Position
	sums     sums
	damaged  uint64 // blobs
}

// sums add up a number for each record that is there. Adding and taking away need
// no look at the others, and what is lost or comes back changes them. A blob counts by
// its locator: an older record of a blob names bytes that are gone.
type sums struct{ files, versions, tokens, blobs uint64 }

func (r *stateRecord) Fields(f *coding.Fields) {
	f.Number(&r.position.Sequence)
	f.Digest(&r.position.Chain)
	f.Number(&r.sums.files)
	f.Number(&r.sums.versions)
	f.Number(&r.sums.tokens)
	f.Number(&r.sums.blobs)
	f.Number(&r.damaged)
}

// scatter makes a number of an id that does not cancel out against another's
// (the finalizer of SplitMix64).
func scatter(id uint64) uint64 {
	id += 0x9e3779b97f4a7c15
	id = (id ^ id>>30) * 0xbf58476d1ce4e5b9
	id = (id ^ id>>27) * 0x94d049bb133111eb
	return id ^ id>>31
}

func scatterText(text string) uint64 {
	hash := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(hash[:])
}
