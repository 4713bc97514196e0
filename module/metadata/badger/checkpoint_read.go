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
	head, err := o.journal.ReadCheckpoint(ctx, c, func(line []byte, change store.Change) error {
		return r.takeWith(ctx, (*batch).applyTold, line, change)
	})
	if err != nil {
		return errors.Join(err, r.abandon())
	}
	if r.batch == nil {
		r.batch = o.newReplayed()
	}
	r.batch.state.position, r.batch.nextID, r.batch.ids = head.At, head.NextID, head.NextID > 1
	return r.flush()
}

// applyTold makes a record that a checkpoint tells.
func (b *batch) applyTold(change store.Change) error {
	switch change.Operation {
	case store.OperationCheckpoint, store.OperationEnd:
		return nil
	case store.OperationVersion:
		return b.tellVersion(store.VersionRef{Owner: change.Owner, Package: change.Package, Version: change.Version}, change)
	case store.OperationPublish:
		if err := b.apply(change); err != nil || change.Downloads == 0 {
			return err
		}
		return b.addDownloads(store.Ref{
			VersionRef: store.VersionRef{Owner: change.Owner, Package: change.Package, Version: change.Version}, File: change.File,
		}, func(_ *versionRecord, file *fileRecord) { file.downloads = toldDownloads(change) })
	case store.OperationCreateToken:
		return b.apply(change)
	}
	return fmt.Errorf("%w: a checkpoint cannot have the operation %q", errLine, change.Operation)
}

// tellVersion makes a version, whose files follow.
func (b *batch) tellVersion(ref store.VersionRef, change store.Change) error {
	k, err := b.known(ref)
	if err != nil {
		return err
	}
	if k.exists || change.ID <= 0 {
		return fmt.Errorf("%w: a version that is there already, or has no id", errLine)
	}
	if k.pkg.id == 0 {
		k.pkg.id = uint64(change.PackageID)
	}
	b.makeVersion(&k, versionRecord{
		id: b.useID(uint64(change.ID)), owner: ref.Owner, name: ref.Package, version: ref.Version,
		creator: change.User, created: change.Time, rank: change.Rank,
		draft: change.Draft, released: uint64(change.Released), downloads: toldDownloads(change),
	})
	b.putKnown(k)
	return nil
}

func toldDownloads(change store.Change) downloads {
	told := downloads{count: uint64(change.Downloads)}
	if change.Downloaded != nil {
		told.last = change.Downloaded.UTC()
	}
	return told
}
