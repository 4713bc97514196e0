package badger

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// DeleteFile implements store.MetadataStore.
func (s *Store) DeleteFile(ctx context.Context, ref store.Ref, act store.Act) error {
	return s.change(ctx, store.DeleteFileChange(ref, act), func(b *batch) error {
		return firstError(func() error { return b.checkState(ref.VersionRef, act) }, func() error { return b.deleteFile(ref, act.Current) })
	})
}

// checkState reports ErrPackageNotFound for a version of another state than the act is for.
func (b *batch) checkState(ref store.VersionRef, act store.Act) error {
	k, err := b.known(ref)
	if err == nil && k.exists && !act.Only.Has(k.version.draft) {
		err = store.ErrPackageNotFound
	}
	return err
}

// deleteFile deletes a file. ErrChanged when it has another ID than the current one, unless
// that is zero.
func (b *batch) deleteFile(ref store.Ref, current int64) error {
	k, err := b.known(ref.VersionRef)
	if err != nil || !k.exists {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	var file fileRecord
	if found, err := b.get(fileKey(k.version.id, ref.File), &file); err != nil || !found {
		return orNotFound(err, store.ErrFileNotFound)
	}
	if current != 0 && current != int64(file.id) {
		return store.ErrChanged
	}
	blob, err := b.referredBlob(file)
	if err != nil {
		return err
	}
	if b.removeFile(&k, file, blob); k.version.files == 0 {
		b.removeVersion(&k)
	}
	b.putKnown(k)
	return nil
}

// removeFile deletes a file's record and takes it off the counts.
func (b *batch) removeFile(k *known, file fileRecord, blob blobRecord) {
	b.state.sums.files -= scatter(file.id)
	b.delete(fileKey(k.version.id, file.name))
	b.release(file.digest, blob)
	k.takeFile(file.size)
}

// DeleteVersion implements store.MetadataStore.
func (s *Store) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	return s.change(ctx, store.DeleteVersionChange(ref, act), func(b *batch) error {
		return firstError(func() error { return b.checkState(ref, act) }, func() error { return b.deleteVersion(ref) })
	})
}

// deleteVersion deletes the version's own record, which puts its files out of
// reach, and leaves them to the clean-up.
func (b *batch) deleteVersion(ref store.VersionRef) error {
	k, err := b.known(ref)
	if err != nil || !k.exists {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	b.await(graveKey(k.version.id), &graveRecord{})
	b.removeVersion(&k)
	b.putKnown(k)
	return nil
}

// DeletePackage implements store.MetadataStore.
func (s *Store) DeletePackage(ctx context.Context, owner, pkg string, act store.Act) error {
	return s.change(ctx, store.DeletePackageChange(owner, pkg, act), func(b *batch) error { return b.deletePackage(owner, pkg) })
}

// deletePackage deletes the package's own record, which puts its versions out of reach,
// and leaves them to the clean-up.
func (b *batch) deletePackage(owner, pkg string) error {
	k, err := b.knownPackage(owner, pkg)
	if err != nil || k.pkg.id == 0 {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	k.owner.published.take(k.pkg.published)
	k.owner.drafts.take(k.pkg.drafts)
	k.pkg.published, k.pkg.drafts = counts{}, counts{}
	b.await(tombKey(k.pkg.id), &tombRecord{})
	b.putPackage(k)
	return nil
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
	b.setDamage(key, &blob, "")
	b.delete(key)
	b.condemn(blob.locator)
}
