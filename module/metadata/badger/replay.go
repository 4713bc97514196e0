package badger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// replayBatch is how many changes one transaction takes when a journal is replayed.
const replayBatch = batchWeight / operationWeight

// replay brings a database to where its journal is, change by change, through the
// code that made the changes.
type replay struct {
	opened *opened
	batch  *batch
	count  int
	done   uint64
	total  uint64 // of the changes to be taken
}

// take applies one change.
func (r *replay) take(ctx context.Context, line []byte, change store.Change, chain store.Digest) error {
	return r.takeWith(ctx, func(b *batch, change store.Change) error {
		err := b.apply(change)
		b.state.position = store.Position{Sequence: change.Sequence, Chain: chain}
		return err
	}, line, change)
}

func (r *replay) takeWith(ctx context.Context, apply func(*batch, store.Change) error, line []byte, change store.Change) error {
	if r.batch != nil && r.batch.size+len(line) > transactionSize {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if r.batch == nil {
		r.batch = r.opened.newReplayed()
	}
	if err := apply(r.batch, change); err != nil {
		return errors.Join(fmt.Errorf("replaying change %d: %w", change.Sequence, contradiction(err)), r.abandon())
	}
	r.done++
	if r.done%1000 == 1 {
		waiting.ReportProgress(ctx, waiting.Progress{Doing: "making the changes that the database lacks", Done: r.done, Total: r.total})
	}
	if r.count++; r.count == replayBatch {
		return r.flush()
	}
	return nil
}

// abandon ends a batch of which nothing is stored.
func (r *replay) abandon() error {
	if r.batch != nil {
		r.batch.end()
		r.batch = nil
	}
	return nil
}

// flush commits what was taken, and releases the files of versions that it deleted: no
// blob may be known that nobody has, for its bytes may be long gone.
func (r *replay) flush() error {
	if r.batch == nil {
		return nil
	}
	b := r.batch
	r.batch, r.count = nil, 0
	return firstError(
		func() error { return r.opened.persistBatch(b) },
		func() error { return r.opened.cleanUp((*opened).newReplayed, b.waiting) },
	)
}

// newReplayed begins a batch of changes that were made before.
func (o *opened) newReplayed() *batch {
	b := newBatch(o)
	b.replayed = true
	return b
}

// persistBatch ends a batch, and has the database take it. ErrNoSpace: Badger does not survive
// a full disk.
func (o *opened) persistBatch(b *batch) error {
	defer b.end()
	b.commit(o)
	if o.home.readOnly {
		o.db.followed([]*layer{b.layer}) // nobody waits for what stays in memory
		return nil
	}
	if err := firstError(o.home.space.forChange, o.db.persistAll); err != nil {
		return fmt.Errorf("committing replayed changes: %w", err)
	}
	return nil
}

// contradiction: a change that was made once is refused now, or meets a damaged record.
func contradiction(err error) error {
	if errors.Is(err, errLine) {
		return err
	}
	for _, refusal := range []error{store.ErrDamaged, store.ErrExists, store.ErrDraft, store.ErrNotDraft, store.ErrPackageNotFound, store.ErrFileNotFound, store.ErrTokenExists, store.ErrTokenNotFound} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: %w", errDatabase, err)
		}
	}
	return err
}

// errLine: a line of the journal is whole, and says what no change can.
var errLine = fmt.Errorf("%w: line of the journal", store.ErrDamaged)

// apply makes a change that the journal has.
func (b *batch) apply(change store.Change) error {
	version := store.VersionRef{Owner: change.Owner, Package: change.Package, Version: change.Version}
	ref := store.Ref{VersionRef: version, File: change.File}
	switch change.Operation {
	case store.OperationPublish:
		return b.republish(ref, change)
	case store.OperationPublishDraft:
		return b.publishDraft(version, uint64(change.Released), change.Time)
	case store.OperationRenew:
		return b.reapplyRenewal(ref, change)
	case store.OperationDeleteFile:
		return b.deleteFile(ref, 0)
	case store.OperationDeleteVersion:
		return b.deleteVersion(version)
	case store.OperationDeletePackage:
		return b.deletePackage(change.Owner, change.Package)
	case store.OperationCreateToken:
		token, secret, err := grant.ParseChange(change.Token)
		if err != nil {
			return fmt.Errorf("%w: token: %w", errLine, err)
		}
		return b.addToken(token, secret)
	case store.OperationRevokeToken:
		if change.Token == nil {
			return fmt.Errorf("%w: no token", errLine)
		}
		return b.deleteToken(change.Token.ID)
	}
	return fmt.Errorf("%w: unknown operation %q", store.ErrFormat, change.Operation)
}

// republish decides nothing: the journal says whose bytes the file has.
func (b *batch) republish(ref store.Ref, change store.Change) error {
	digest, err := store.ParseDigest(change.Digest)
	if err != nil {
		return fmt.Errorf("%w: digest: %w", errLine, err)
	}
	if change.ID <= 0 || change.VersionID <= 0 {
		return fmt.Errorf("%w: a file without ids", errLine)
	}
	p := store.Publication{
		Ref: ref, Blob: store.Blob{Locator: change.Locator, Digest: digest, Size: change.Size},
		Creator: change.User, Created: change.Time, Rank: change.Rank, Draft: change.Draft,
	}
	if change.Replaced {
		p.OnDuplicate = store.Replace
	}
	_, err = b.publishFile(p, uint64(change.VersionID), uint64(change.ID))
	return err
}

// reapplyRenewal has a file rest on other bytes of the same digest.
func (b *batch) reapplyRenewal(ref store.Ref, change store.Change) error {
	blob, err := change.Blob()
	if err != nil {
		return fmt.Errorf("%w: %w", errLine, err)
	}
	k, err := b.known(ref.VersionRef)
	if err != nil || !k.exists {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	var file fileRecord
	if found, err := b.get(fileKey(k.version.id, ref.File), &file); err != nil || !found {
		return orNotFound(err, store.ErrFileNotFound)
	}
	if file.digest != blob.Digest {
		return fmt.Errorf("%w: a renewal of other bytes", errLine)
	}
	rests, err := b.referredBlob(file)
	if err == nil {
		_, err = b.renew(k, file, rests, store.Publication{Ref: ref, Blob: blob})
	}
	return err
}

// cleanUpLeft releases the files of versions, and the versions of packages, that were
// deleted before a replay. The reaper gets their bytes. Nobody has deleted those yet: before
// bytes are deleted, the database says that they are condemned.
func (o *opened) cleanUpLeft(ctx context.Context) error {
	for _, prefix := range []string{tombPrefix, gravePrefix} {
		left := backlog{prefix: prefix}
		left.reset()
		for {
			suffixes, err := left.next(batchWeight, o.db.view)
			if err != nil {
				return err
			}
			if len(suffixes) == 0 {
				break
			}
			keys := make([]string, len(suffixes))
			for i, suffix := range suffixes {
				keys[i] = prefix + suffix
				left.remove(suffix)
			}
			if err := firstError(ctx.Err, func() error { return o.cleanUp(newBatch, keys) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanUp releases the files of deleted versions and the versions of deleted packages, in
// batches that are begun by a function.
func (o *opened) cleanUp(begin func(*opened) *batch, keys []string) error {
	for len(keys) > 0 {
		b := begin(o)
		for len(keys) > 0 && !b.isFull() {
			emptied, err := b.cleanUp(keys[0])
			if err != nil {
				b.end()
				return fmt.Errorf("cleaning up what was deleted: %w", contradiction(err))
			}
			if emptied {
				keys = keys[1:]
			}
		}
		for _, key := range b.waiting {
			if !strings.HasPrefix(key, condemnedPrefix) { // else the reaper's
				keys = append(keys, key)
			}
		}
		if err := o.persistBatch(b); err != nil {
			return err
		}
	}
	return nil
}

// cleanUp does the next step for the key of a grave or a tomb.
func (b *batch) cleanUp(key string) (emptied bool, err error) {
	prefix, step := gravePrefix, (*batch).emptyGrave
	if strings.HasPrefix(key, tombPrefix) {
		prefix, step = tombPrefix, (*batch).emptyTomb
	}
	id, err := keyID(prefix, []byte(key))
	if err != nil {
		return false, err
	}
	return step(b, id)
}
