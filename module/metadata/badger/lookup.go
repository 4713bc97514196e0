package badger

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Lookup implements store.MetadataStore.
func (s *Store) Lookup(ctx context.Context, ref store.Ref) (file store.File, err error) {
	return s.lookup(ctx, ref, false)
}

// LookupDraft implements store.Drafts.
func (s *Store) LookupDraft(ctx context.Context, ref store.Ref) (store.File, error) {
	return s.lookup(ctx, ref, true)
}

// lookup finds a file of a draft, or one that is published.
func (s *Store) lookup(ctx context.Context, ref store.Ref, draft bool) (file store.File, err error) {
	if err := ctx.Err(); err != nil {
		return store.File{}, err
	}
	if file, ok := s.recall(ref, draft); ok {
		return file, nil
	}
	err = s.find(ctx, func(r reader) error {
		pkg, version, record := new(packageRecord), new(versionRecord), new(fileRecord)
		pKey := packageKey(ref.Owner, ref.Package)
		if found, err := r.get(pKey, pkg); err != nil || !found {
			return orNotFound(err, store.ErrPackageNotFound)
		}
		if draft && pkg.drafts.versions == 0 {
			return store.ErrPackageNotFound // as before most publishes, and found out without the version
		}
		vKey := versionKey(pkg.id, ref.Version)
		if found, err := r.get(vKey, version); err != nil || !found || version.draft != draft {
			return orNotFound(err, store.ErrPackageNotFound)
		}
		fKey := fileKey(version.id, ref.File)
		if found, err := r.get(fKey, record); err != nil || !found {
			return orNotFound(err, store.ErrFileNotFound)
		}
		blob, err := r.blobOf(record)
		if err != nil {
			return err
		}
		s.cache.put(pKey, pkg, r.seen)
		s.cache.put(vKey, version, r.seen)
		s.cache.put(fKey, record, r.seen)
		s.cache.put(blobKey(record.digest), blob, r.seen)
		file = published(*version, *record, *blob)
		return nil
	})
	return file, err
}

// blobOf reads the blob of a file. ErrDamaged when there is none.
func (r reader) blobOf(file *fileRecord) (*blobRecord, error) {
	blob := new(blobRecord)
	found, err := r.get(blobKey(file.digest), blob)
	if err == nil && (!found || blob.size != file.size) {
		err = fmt.Errorf("%w: file has no blob of %d bytes, digest %s", store.ErrDamaged, file.size, file.digest)
	}
	return blob, err
}

// recall is Lookup for a file all of whose records are in memory. They are read one
// after the other, and belong together all the same: a version's record is written while
// its package is there, and a file's while its version is, under ids that are never used
// again; only what is counted of a file ever changes; and a digest has the same bytes
// wherever they are.
func (s *Store) recall(ref store.Ref, draft bool) (file store.File, ok bool) {
	if _, err := s.enter(); err != nil {
		return store.File{}, false
	}
	defer s.use.RUnlock()
	pkg, ok := s.cache.get(packageKey(ref.Owner, ref.Package)).(*packageRecord)
	if !ok {
		return store.File{}, false
	}
	version, ok := s.cache.get(versionKey(pkg.id, ref.Version)).(*versionRecord)
	if !ok || version.draft != draft {
		return store.File{}, false
	}
	record, ok := s.cache.get(fileKey(version.id, ref.File)).(*fileRecord)
	if !ok {
		return store.File{}, false
	}
	blob, ok := s.cache.get(blobKey(record.digest)).(*blobRecord)
	if !ok || blob.size != record.size {
		return store.File{}, false
	}
	return published(*version, *record, *blob), true
}

// Usage implements store.MetadataStore.
func (s *Store) Usage(ctx context.Context, owner string) (usage store.Usage, err error) {
	err = s.view(ctx, func(r reader) error {
		var record ownerRecord
		_, err := r.get(ownerKey(owner), &record)
		usage = record.usage()
		return err
	})
	return usage, err
}

// Totals implements store.Totaled. It reads a record for each owner.
func (s *Store) Totals(ctx context.Context) (totals store.Totals, err error) {
	err = s.view(ctx, func(r reader) error {
		totals = store.Totals{}
		return r.scan([]byte(ownerPrefix), nil, func(key, value []byte) error {
			var record ownerRecord
			if err := coding.Decode(key, value, &record); err != nil {
				return err
			}
			usage := record.usage()
			totals.Owners++
			totals.Versions += usage.Versions
			totals.Bytes += usage.Bytes
			return ctx.Err()
		})
	})
	return totals, err
}

// FindBlob implements store.MetadataStore.
func (s *Store) FindBlob(ctx context.Context, digest store.Digest) (blob store.Blob, err error) {
	err = s.view(ctx, func(r reader) error {
		blob, err = findBlob(r, digest)
		return err
	})
	return blob, err
}

func findBlob(r reader, digest store.Digest) (store.Blob, error) {
	var record blobRecord
	if found, err := r.get(blobKey(digest), &record); err != nil || !found {
		return store.Blob{}, orNotFound(err, store.ErrBlobNotFound)
	}
	return record.blob(digest), nil
}

// orNotFound returns the error of a read, or what it means that it found nothing.
func orNotFound(err, notFound error) error {
	if err != nil {
		return err
	}
	return notFound
}
