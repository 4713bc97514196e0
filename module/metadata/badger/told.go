package badger

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// errUnfinished: a database that was being made of a checkpoint, and has nothing that
// the journal has not.
var errUnfinished = fmt.Errorf("%w: the making of it did not come to its end", errDatabase)

// fill makes what a checkpoint tells in an empty database.
func (o *opened) fill(ctx context.Context, c journal.Checkpoint) error {
	if o.nextID > 1 || o.state != (stateRecord{}) {
		return errUnfinished
	}
	r := replay{opened: o, total: c.Records}
	mark, err := o.journal.ReadCheckpoint(ctx, c, func(line []byte, change store.Change) error {
		return r.takeWith(ctx, (*batch).applyTold, line, change)
	})
	if err != nil {
		return errors.Join(err, r.abandon())
	}
	if r.batch == nil {
		r.batch = o.newReplayed()
	}
	r.batch.state.position, r.batch.nextID, r.batch.ids = mark.At, mark.NextID, mark.NextID > 1
	return r.flush()
}

// applyTold makes a record that a checkpoint tells.
func (b *batch) applyTold(change store.Change) error {
	switch change.Operation {
	case store.OperationCheckpoint, store.OperationEnd:
		return nil
	case store.OperationVersion:
		b.nextID = change.ID
		return b.tellVersion(store.VersionRef{Owner: change.Owner, Package: change.Package, Version: change.Version}, change)
	case store.OperationPublish:
		b.nextID = change.ID
		return b.apply(change)
	case store.OperationCreateToken:
		return b.apply(change)
	}
	return fmt.Errorf("%w: a checkpoint cannot have the operation %q", errLine, change.Operation)
}

// tellVersion makes a version, whose files follow.
func (b *batch) tellVersion(ref store.VersionRef, change store.Change) error {
	tally, err := b.tally(ref)
	if err != nil {
		return err
	}
	version := versionRecord{
		owner: ref.Owner, name: ref.Package, version: ref.Version,
		creator: change.User, created: change.Time, id: b.takeID(),
	}
	key := versionKey(ref)
	tally.add(&version)
	b.state.sums.versions += scatter(version.id)
	b.put(timeKey(ref.Owner, version.created, version.id), &timeRecord{versionKey: string(key)})
	b.put(key, &version)
	b.putTally(ref, tally)
	return nil
}
