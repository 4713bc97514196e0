package badger

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Lookup implements registry.MetadataStore.
func (s *Store) Lookup(ctx context.Context, ref registry.Ref) (file registry.File, err error) {
	err = s.find(ctx, func(txn *badger.Txn) error {
		var version versionRecord
		if found, err := get(txn, versionKey(ref.VersionRef), &version); err != nil || !found {
			return orNotFound(err, registry.ErrPackageNotFound)
		}
		var record fileRecord
		if found, err := get(txn, fileKey(version.id, ref.File), &record); err != nil || !found {
			return orNotFound(err, registry.ErrFileNotFound)
		}
		var blob blobRecord
		found, err := get(txn, blobKey(record.digest), &blob)
		if err != nil {
			return err
		}
		if !found || blob.size != record.size {
			return fmt.Errorf("%w: file has no blob of %d bytes, digest %s", registry.ErrDamaged, record.size, record.digest)
		}
		file = published(version, record, blob.locator)
		return nil
	})
	return file, err
}

// Usage implements registry.MetadataStore.
func (s *Store) Usage(ctx context.Context, owner string) (usage registry.Usage, err error) {
	err = s.view(ctx, func(txn *badger.Txn) error {
		var record ownerRecord
		_, err := get(txn, ownerKey(owner), &record)
		usage = record.usage()
		return err
	})
	return usage, err
}

// FindBlob implements registry.MetadataStore.
func (s *Store) FindBlob(ctx context.Context, digest registry.Digest) (blob registry.Blob, err error) {
	err = s.find(ctx, func(txn *badger.Txn) error {
		blob, err = findBlob(txn, digest)
		return err
	})
	return blob, err
}

func findBlob(txn *badger.Txn, digest registry.Digest) (registry.Blob, error) {
	var record blobRecord
	if found, err := get(txn, blobKey(digest), &record); err != nil || !found {
		return registry.Blob{}, orNotFound(err, registry.ErrBlobNotFound)
	}
	return registry.Blob{Locator: record.locator, Digest: digest, Size: int64(record.size)}, nil
}

// orNotFound returns the error of a read, or what it means that it found nothing.
func orNotFound(err, notFound error) error {
	if err != nil {
		return err
	}
	return notFound
}
