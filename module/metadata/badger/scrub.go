package badger

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// scrubRecord says how far the last scrub came.
type scrubRecord struct{ scrub store.Scrub }

func (r *scrubRecord) Fields(f *coding.Fields) {
	f.OptionalTime(&r.scrub.Started)
	f.OptionalTime(&r.scrub.Finished)
	f.Digest(&r.scrub.Last)
	f.Count(&r.scrub.Blobs)
	f.Count(&r.scrub.Bytes)
	f.Count(&r.scrub.Damaged)
}

// Blobs implements store.MetadataStore.
func (s *Store) Blobs(ctx context.Context, after store.Digest, limit int) (blobs []store.Blob, err error) {
	err = s.view(ctx, func(r reader) error {
		return r.scan([]byte(blobPrefix), blobKey(after), func(key, value []byte) error {
			digest, err := digestOf(blobPrefix, key)
			if err != nil || digest == after {
				return err
			}
			if len(blobs) == limit {
				return errEnough
			}
			var record blobRecord
			if err := coding.Decode(key, value, &record); err != nil {
				return err
			}
			blobs = append(blobs, record.blob(digest))
			return ctx.Err()
		})
	})
	return blobs, unlessEnough(err)
}

// blob is what a record says of a digest.
func (r *blobRecord) blob(digest store.Digest) store.Blob {
	return store.Blob{Locator: r.locator, Digest: digest, Size: int64(r.size), Damage: r.damage}
}

// digestOf reads the digest out of a key.
func digestOf(prefix string, key []byte) (digest store.Digest, err error) {
	rest := key[len(prefix):]
	if len(rest) != len(digest) {
		return digest, coding.Damaged(key, "length of key")
	}
	copy(digest[:], rest)
	return digest, nil
}

// SaveScrub implements store.MetadataStore.
func (s *Store) SaveScrub(ctx context.Context, scrub store.Scrub) error {
	return s.submit(ctx, 1, func(b *batch) error {
		b.put(scrubKey, &scrubRecord{scrub})
		return nil
	})
}

// LastScrub implements store.MetadataStore.
func (s *Store) LastScrub(ctx context.Context) (scrub store.Scrub, err error) {
	err = s.view(ctx, func(r reader) error {
		var record scrubRecord
		_, err := r.get(scrubKey, &record)
		scrub = record.scrub
		return err
	})
	return scrub, err
}
