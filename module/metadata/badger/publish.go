package badger

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Publish implements store.MetadataStore.
func (s *Store) Publish(ctx context.Context, p store.Publication) (file store.File, condemned bool, err error) {
	err = s.submit(ctx, operationWeight, func(b *batch) (err error) {
		if err := p.CheckAge(s.Clock()); err != nil {
			return err
		}
		if file, condemned, err = b.publishFile(p); err != nil {
			return err
		}
		b.record(store.PublishChange(p.Ref, file))
		return nil
	})
	if err != nil && !store.IsRefusal(err) {
		return store.File{}, false, err
	}
	return file, condemned, err
}

// publishFile decides whether the file can be there, and writes it. When it refuses,
// it has condemned the bytes.
func (b *batch) publishFile(p store.Publication) (store.File, bool, error) {
	version := versionRecord{
		owner: p.Ref.Owner, name: p.Ref.Package, version: p.Ref.Version,
		creator: p.Creator, created: p.Created,
	}
	vKey := versionKey(p.Ref.VersionRef)
	versionKnown, err := b.get(vKey, &version)
	if err != nil {
		return store.File{}, false, err
	}
	if versionKnown {
		exists, err := b.get(fileKey(version.id, p.Ref.File), &fileRecord{})
		if err != nil {
			return store.File{}, false, err
		}
		if exists {
			return b.refuse(p.Locator, store.ErrExists)
		}
	}
	bKey := blobKey(p.Digest)
	var blob blobRecord
	if _, err := b.get(bKey, &blob); err != nil {
		return store.File{}, false, err
	}
	tally, err := b.tally(p.Ref.VersionRef)
	if err != nil {
		return store.File{}, false, err
	}

	if !versionKnown {
		tally.add(&version)
	}
	tally.owner.files++
	tally.owner.bytes += uint64(p.Size)
	if err := p.Quota.Check(tally.owner.usage()); err != nil {
		return b.refuse(p.Locator, err)
	}

	condemned := b.refer(bKey, &blob, p)
	if !versionKnown {
		version.id = b.takeID()
		b.state.sums.versions += scatter(version.id)
		b.put(timeKey(p.Ref.Owner, version.created, version.id), &timeRecord{versionKey: string(vKey)})
	}
	version.files++
	version.bytes += uint64(p.Size)
	file := fileRecord{
		id: b.takeID(), name: p.Ref.File, digest: p.Digest, size: uint64(p.Size),
		creator: p.Creator, created: p.Created,
	}
	b.state.sums.files += scatter(file.id)
	b.put(vKey, &version)
	b.put(fileKey(version.id, p.Ref.File), &file)
	b.putTally(p.Ref.VersionRef, tally)
	return published(version, file, blob.locator), condemned, nil
}

// refuse condemns the bytes of a publish that is decided against.
func (b *batch) refuse(own store.Locator, why error) (store.File, bool, error) {
	b.condemn(own)
	return store.File{}, true, why
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
func published(version versionRecord, file fileRecord, locator store.Locator) store.File {
	return store.File{
		Ref: store.Ref{
			VersionRef: store.VersionRef{Owner: version.owner, Package: version.name, Version: version.version},
			File:       file.name,
		},
		Blob:    store.Blob{Locator: locator, Digest: file.digest, Size: int64(file.size)},
		ID:      int64(file.id),
		Creator: file.creator,
		Created: file.created,
	}
}

// tally is what is counted for a package and its owner.
type tally struct {
	pkg   packageRecord
	owner ownerRecord
}

// add counts a version, which shows its owner and its package as they were first spelled.
func (t *tally) add(version *versionRecord) {
	if t.owner.versions == 0 {
		t.owner.name = version.owner
	}
	if t.pkg.versions == 0 {
		t.pkg.name = version.name
	}
	t.owner.versions++
	t.pkg.versions++
	version.owner, version.name = t.owner.name, t.pkg.name
}

func (b *batch) tally(ref store.VersionRef) (t tally, err error) {
	if _, err = b.get(packageKey(ref), &t.pkg); err != nil {
		return t, err
	}
	_, err = b.get(ownerKey(ref.Owner), &t.owner)
	return t, err
}

// putTally writes the counts, and no record where nothing is left to count.
func (b *batch) putTally(ref store.VersionRef, t tally) {
	b.putCount(packageKey(ref), &t.pkg, t.pkg.versions)
	b.putCount(ownerKey(ref.Owner), &t.owner, t.owner.versions)
}

func (b *batch) putCount(key []byte, record codec, versions uint64) {
	if versions == 0 {
		b.delete(key)
		return
	}
	b.put(key, record)
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
