package badger

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// DeleteFile implements store.MetadataStore.
func (s *Store) DeleteFile(ctx context.Context, ref store.Ref, act store.Act) error {
	return s.submit(ctx, operationWeight, func(b *batch) error {
		if err := b.deleteFile(ref); err != nil {
			return err
		}
		b.record(store.DeleteFileChange(ref, act))
		return nil
	})
}

func (b *batch) deleteFile(ref store.Ref) error {
	vKey := versionKey(ref.VersionRef)
	var version versionRecord
	if found, err := b.get(vKey, &version); err != nil || !found {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	fKey := fileKey(version.id, ref.File)
	var file fileRecord
	if found, err := b.get(fKey, &file); err != nil || !found {
		return orNotFound(err, store.ErrFileNotFound)
	}
	blob, err := b.referredBlob(file)
	if err != nil {
		return err
	}
	tally, err := b.tally(ref.VersionRef)
	if err != nil {
		return err
	}

	b.state.sums.files -= scatter(file.id)
	version.files--
	version.bytes -= file.size
	tally.owner.files--
	tally.owner.bytes -= file.size
	b.delete(fKey)
	b.release(file.digest, blob)
	if version.files > 0 {
		b.put(vKey, &version)
	} else {
		b.removeVersion(vKey, version, &tally)
	}
	b.putTally(ref.VersionRef, tally)
	return nil
}

// DeleteVersion implements store.MetadataStore.
func (s *Store) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	return s.submit(ctx, operationWeight, func(b *batch) error {
		if err := b.deleteVersion(ref); err != nil {
			return err
		}
		b.record(store.DeleteVersionChange(ref, act))
		return nil
	})
}

// deleteVersion deletes the version's own record, which puts its files out of
// reach, and leaves them to the clean-up.
func (b *batch) deleteVersion(ref store.VersionRef) error {
	vKey := versionKey(ref)
	var version versionRecord
	if found, err := b.get(vKey, &version); err != nil || !found {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	tally, err := b.tally(ref)
	if err != nil {
		return err
	}
	tally.owner.files -= version.files
	tally.owner.bytes -= version.bytes
	b.await(graveKey(version.id), &graveRecord{})
	b.removeVersion(vKey, version, &tally)
	b.putTally(ref, tally)
	return nil
}

// removeVersion deletes the records of a version itself and takes it off the
// counts.
func (b *batch) removeVersion(vKey []byte, version versionRecord, tally *tally) {
	b.state.sums.versions -= scatter(version.id)
	tally.pkg.versions--
	tally.owner.versions--
	b.delete(vKey)
	b.delete(timeKey(version.owner, version.created, version.id))
}

// referredBlob reads the blob of a file that is being deleted.
func (b *batch) referredBlob(file fileRecord) (blob blobRecord, err error) {
	found, err := b.get(blobKey(file.digest), &blob)
	if err != nil {
		return blob, err
	}
	if !found || blob.references == 0 {
		return blob, fmt.Errorf("%w: file refers to blob %s, which knows of no reference", store.ErrDamaged, file.digest)
	}
	return blob, nil
}

// release takes one reference off a blob; without any its bytes are condemned.
func (b *batch) release(digest store.Digest, blob blobRecord) {
	key := blobKey(digest)
	if blob.references--; blob.references > 0 {
		b.put(key, &blob)
		return
	}
	b.state.sums.blobs -= scatterText(string(blob.locator))
	b.delete(key)
	b.condemn(blob.locator)
}
