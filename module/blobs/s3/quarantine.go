package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Quarantine implements store.BlobStore: S3 cannot rename. Between its two steps the bytes
// are in both places, and the call can be made again.
func (s *Store) Quarantine(ctx context.Context, locator store.Locator) error {
	// Two who copy one object are in each other's way.
	if err := s.quarantining.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for another blob to be put aside: %w", err)
	}
	defer s.quarantining.Release(1)
	size, err := s.Stat(ctx, locator)
	if errors.Is(err, store.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	key := s.under(blobsFolder + string(locator))
	if err := s.bucket.Copy(ctx, s.under(quarantineFolder+string(locator)), key, size); err != nil {
		return err
	}
	return s.bucket.Remove(ctx, key)
}

// PurgeQuarantine implements store.BlobStore.
func (s *Store) PurgeQuarantine(ctx context.Context, before time.Time, keep int) (removed int, err error) {
	var found []bucket.Object
	for object, err := range s.bucket.List(ctx, s.under(quarantineFolder), 0) {
		if err != nil {
			return 0, err
		}
		found = append(found, object)
	}
	slices.SortFunc(found, func(a, b bucket.Object) int { return b.Modified.Compare(a.Modified) }) // newest first
	var keys []string
	for i, object := range found {
		if i >= keep || object.Modified.Before(before) {
			keys = append(keys, object.Key)
		}
	}
	if len(keys) == 0 {
		return 0, nil
	}
	gone, err := s.bucket.RemoveAll(ctx, keys)
	return len(gone), err
}
