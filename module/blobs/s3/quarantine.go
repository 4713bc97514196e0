package s3

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Quarantine implements store.BlobStore: S3 cannot rename. Between its two steps the bytes
// are in both places, and the call can be made again.
func (s *Store) Quarantine(ctx context.Context, locator store.Locator) error {
	s.quarantining.Lock() // two who copy one object are in each other's way
	defer s.quarantining.Unlock()
	size, err := s.Stat(ctx, locator)
	if errors.Is(err, store.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	key := s.under(blobsFolder, string(locator))
	if err := s.copyObject(ctx, s.under(quarantineFolder, string(locator)), key, size); err != nil {
		return err
	}
	return s.remove(ctx, key)
}

// copyObject has the server copy an object of a size. The library's function for objects of
// every size asks for it without a context.
func (s *Store) copyObject(ctx context.Context, to, from string, size int64) error {
	if size <= largestPut {
		return s.longRequest(ctx, "copying an object", func(ctx context.Context, client *minio.Core) error {
			_, err := client.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: s.bucket, Object: to}, minio.CopySrcOptions{Bucket: s.bucket, Object: from})
			return err
		})
	}
	m := &multipart{store: s, key: to}
	if err := m.begin(ctx); err != nil {
		return err
	}
	step := max(largePart, size/(mostParts-1))
	for at := int64(0); at < size; at += step {
		if err := m.copyPart(ctx, from, at, min(step, size-at)); err != nil {
			m.drop()
			return err
		}
	}
	return m.complete(ctx)
}

// copyPart adds a part that the server copies.
func (m *multipart) copyPart(ctx context.Context, from string, at, size int64) error {
	return m.store.longRequest(ctx, "copying a part", func(ctx context.Context, client *minio.Core) error {
		copied, err := client.CopyObjectPart(ctx, m.store.bucket, from, m.store.bucket, m.key, m.id, len(m.parts)+1, at, size, nil)
		if err == nil {
			m.parts = append(m.parts, part{copied.ETag, size})
		}
		return err
	})
}

// PurgeQuarantine implements store.BlobStore.
func (s *Store) PurgeQuarantine(ctx context.Context, before time.Time, keep int) (removed int, err error) {
	var found []minio.ObjectInfo
	err = s.list(ctx, s.under(quarantineFolder)+"/", 0, func(object minio.ObjectInfo) error {
		found = append(found, object)
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.SortFunc(found, func(a, b minio.ObjectInfo) int { return b.LastModified.Compare(a.LastModified) }) // newest first
	var keys []string
	for i, object := range found {
		if i >= keep || object.LastModified.Before(before) {
			keys = append(keys, object.Key)
		}
	}
	if len(keys) == 0 {
		return 0, nil
	}
	gone, err := s.removeAll(ctx, keys)
	return len(gone), err
}
