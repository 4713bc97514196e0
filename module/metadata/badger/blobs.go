package badger

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// MarkDamage implements store.MetadataStore.
func (s *Store) MarkDamage(ctx context.Context, blob store.Blob, kind store.DamageKind) (news bool, err error) {
	return ask(ctx, s, operationWeight, func(b *batch) (news bool, err error) {
		key := blobKey(blob.Digest)
		var record blobRecord
		found, err := b.get(key, &record)
		if err != nil || !found || record.locator != blob.Locator {
			return false, orNotFound(err, store.ErrBlobNotFound)
		}
		if news = (record.damage == "") != (kind == ""); news {
			b.setDamage(key, &record, kind)
			b.put(key, &record)
		}
		return news, nil
	})
}

// setDamage changes what is wrong with a blob, whose record the caller writes or deletes.
func (b *batch) setDamage(key []byte, blob *blobRecord, kind store.DamageKind) {
	was := blob.damage
	blob.damage = kind
	entry := damagedKey(key[len(blobPrefix):])
	switch {
	case was == "" && kind != "":
		b.state.damaged++
		b.put(entry, &damagedRecord{})
	case was != "" && kind == "":
		b.state.damaged--
		b.delete(entry)
	}
}

// Damaged implements store.MetadataStore.
func (s *Store) Damaged(ctx context.Context, limit int) (count int64, digests []store.Digest, err error) {
	err = s.view(ctx, func(r reader) error {
		var state stateRecord
		if _, err := r.get(stateKey, &state); err != nil || state.damaged == 0 {
			return err
		}
		count, digests = int64(state.damaged), nil
		return r.scan([]byte(damagedPrefix), nil, func(key, _ []byte) error {
			if len(digests) == limit {
				return errEnough
			}
			digest, err := digestOf(damagedPrefix, key)
			digests = append(digests, digest)
			return err
		})
	})
	return count, digests, unlessEnough(err)
}

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
