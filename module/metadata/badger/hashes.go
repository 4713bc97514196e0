package badger

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// SetHashes implements store.MetadataStore.
func (s *Store) SetHashes(ctx context.Context, digest store.Digest, hashes store.Hashes) error {
	return s.submit(ctx, 1, func(b *batch) error {
		key := blobKey(digest)
		var blob blobRecord
		if found, err := b.get(key, &blob); err != nil || !found {
			return err
		}
		blob.hashes = string(hashes)
		b.put(key, &blob)
		return nil
	})
}
