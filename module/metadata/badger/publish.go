package badger

import (
	"cmp"
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Publish implements store.MetadataStore.
func (s *Store) Publish(ctx context.Context, p store.Publication) (file store.File, condemned bool, err error) {
	made, err := ask(ctx, s, operationWeight, func(b *batch) (made publishedFile, err error) {
		if err := p.CheckAge(s.Clock()); err != nil {
			return made, err
		}
		if condemned, err := b.get(condemnedKey(p.Locator), &condemnedRecord{}); err != nil || condemned {
			return made, orNotFound(err, fmt.Errorf("%w: the bytes at %s are to be deleted", store.ErrUnavailable, p.Locator))
		}
		if made, err = b.publishFile(p, 0, 0); err == nil && made.change.Operation != "" {
			b.record(made.change)
		}
		return made, err
	})
	if err != nil && !store.IsRefusal(err) {
		return store.File{}, false, err
	}
	return made.file, made.condemned, err
}

// publishedFile is a file that was published just now.
type publishedFile struct {
	file      store.File
	change    store.Change // what the journal says of it; nothing when it was published before
	condemned bool         // there are bytes for the reaper
}

// publishFile decides whether the file can be there, and writes it. When it refuses,
// it has condemned the bytes. The ids are those that the journal has, or zero.
func (b *batch) publishFile(p store.Publication, versionID, fileID uint64) (made publishedFile, err error) {
	k, err := b.known(p.Ref.VersionRef)
	if err != nil {
		return made, err
	}
	var old fileRecord
	var oldBlob blobRecord
	var taken bool
	if k.exists {
		if taken, err = b.get(fileKey(k.version.id, p.Ref.File), &old); err != nil {
			return made, err
		}
	}
	if taken {
		if oldBlob, err = b.referredBlob(old); err != nil {
			return made, err
		}
	}
	if versionID == 0 && taken && old.digest == p.Digest && oldBlob.locator == p.Locator {
		made.file = published(k.version, old, oldBlob) // it was published before
		return made, nil
	}
	if p.Current != nil && *p.Current != int64(old.id) {
		return b.refuse(p.Blob, oldBlob, store.ErrChanged)
	}
	if k.exists {
		if err := p.CheckState(k.version.draft); err != nil {
			return b.refuse(p.Blob, oldBlob, err)
		}
		if taken && p.OnDuplicate != store.Reject && old.digest == p.Digest {
			return b.renew(k, old, oldBlob, p)
		}
		if taken && (p.OnDuplicate != store.Replace || oldBlob.locator == p.Locator) {
			return b.refuse(p.Blob, oldBlob, store.ErrExists)
		}
		if versionID != 0 && versionID != k.version.id {
			return made, fmt.Errorf("%w: the journal says version %d of %q, the database %d", errDatabase, versionID, p.Ref.VersionRef, k.version.id)
		}
	}
	bKey := blobKey(p.Digest)
	var blob blobRecord
	if _, err := b.get(bKey, &blob); err != nil {
		return made, err
	}
	if err := k.checkQuota(p, old); err != nil {
		return b.refuse(p.Blob, oldBlob, err)
	}

	made.condemned = b.refer(bKey, &blob, p)
	if taken {
		b.removeFile(&k, old, oldBlob)
		made.condemned = true
	}
	newVersion := !k.exists
	if newVersion {
		b.makeVersion(&k, versionRecord{
			id: b.useID(versionID), owner: p.Ref.Owner, name: p.Ref.Package, version: p.Ref.Version,
			creator: p.Creator, created: p.Created, rank: p.Rank, draft: p.Draft,
		})
	}
	file := fileRecord{
		id: b.useID(fileID), name: p.Ref.File, digest: p.Digest, size: uint64(p.Size),
		creator: p.Creator, created: p.Created,
	}
	k.addFile(file.size)
	b.state.sums.files += scatter(file.id)
	b.put(fileKey(k.version.id, p.Ref.File), &file)
	b.putKnown(k)
	made.file = published(k.version, file, blob)
	made.change = store.PublishChange(p.Ref, made.file)
	made.change.VersionID, made.change.Draft, made.change.Replaced = int64(k.version.id), p.Draft, taken
	if newVersion {
		made.change.Rank = p.Rank
	}
	return made, nil
}

// checkQuota compares what the owner would have with what it may have.
func (k *known) checkQuota(p store.Publication, replaced fileRecord) error {
	more, less := counts{files: 1, bytes: uint64(p.Size)}, counts{}
	if !k.exists {
		more.versions = 1
		if p.Draft && p.Quota.Drafts > 0 && int64(k.owner.drafts.versions) >= p.Quota.Drafts {
			return store.ErrQuotaDrafts
		}
	}
	if replaced.id != 0 {
		less = counts{files: 1, bytes: replaced.size}
	}
	wanted := k.owner
	wanted.published.add(more)
	wanted.published.take(less)
	return p.Quota.Check(wanted.usage())
}

// renew has a file of the same digest rest on the bytes of a publication.
func (b *batch) renew(k known, file fileRecord, blob blobRecord, p store.Publication) (made publishedFile, err error) {
	blob.references--
	made.condemned = b.refer(blobKey(p.Digest), &blob, p)
	made.file = published(k.version, file, blob)
	made.change = store.PublishChange(p.Ref, made.file)
	made.change.Operation, made.change.Time, made.change.User = store.OperationRenew, p.Created, p.Creator
	return made, nil
}

// refuse condemns the bytes of a publish that is decided against, unless they are those of
// the blob, or of the file that is there.
func (b *batch) refuse(own store.Blob, there blobRecord, why error) (publishedFile, error) {
	var blob blobRecord
	if _, err := b.get(blobKey(own.Digest), &blob); err != nil || blob.locator == own.Locator || there.locator == own.Locator {
		return publishedFile{}, cmp.Or(err, why)
	}
	b.condemn(own.Locator)
	return publishedFile{condemned: true}, why
}

// refer adds a reference to the blob of a digest, whose bytes are the publication's
// from now on. Those that it had are condemned. They are the same ones where a journal
// that was rebuilt out of the database is replayed.
func (b *batch) refer(key []byte, blob *blobRecord, p store.Publication) (condemned bool) {
	surplus := blob.locator
	if surplus != "" {
		b.state.sums.blobs -= scatterText(string(surplus))
	}
	b.state.sums.blobs += scatterText(string(p.Locator))
	if surplus != p.Locator {
		b.setDamage(key, blob, "")
	}
	blob.locator, blob.size = p.Locator, uint64(p.Size)
	blob.references++
	b.put(key, blob)
	if surplus == "" || surplus == p.Locator {
		return false
	}
	b.condemn(surplus)
	return true
}

// published puts a file together from its records.
func published(version versionRecord, file fileRecord, blob blobRecord) store.File {
	created := file.created
	if file.id < version.released {
		created = version.created
	}
	return store.File{
		Ref: store.Ref{
			VersionRef: store.VersionRef{Owner: version.owner, Package: version.name, Version: version.version},
			File:       file.name,
		},
		Blob:    blob.blob(file.digest),
		ID:      int64(file.id),
		Hashes:  store.Hashes(blob.hashes),
		Creator: file.creator,
		Created: created,

		Downloads: int64(file.downloads.count), Downloaded: file.downloads.last,
	}
}

// firstError runs steps until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
