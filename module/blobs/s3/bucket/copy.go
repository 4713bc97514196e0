package bucket

import (
	"context"

	"github.com/minio/minio-go/v7"
)

// Copy has the server copy an object of a size. The library's function for objects of every
// size asks for it without a context.
func (b *Bucket) Copy(ctx context.Context, to, from string, size int64) error {
	if size <= largestPut {
		return b.longRequest(ctx, "copying an object", func(ctx context.Context, client *minio.Core) error {
			_, err := client.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: b.name, Object: to}, minio.CopySrcOptions{Bucket: b.name, Object: from})
			return err
		})
	}
	m := &multipart{bucket: b, key: to}
	if err := m.begin(ctx); err != nil {
		return err
	}
	step := max(LargestPart, size/(mostParts-1))
	for at := int64(0); at < size; at += step {
		if err := m.copyPart(ctx, from, at, min(step, size-at)); err != nil {
			m.drop()
			return err
		}
	}
	err := m.complete(ctx)
	if err != nil {
		m.drop()
	}
	return err
}

// copyPart adds a part that the server copies.
func (m *multipart) copyPart(ctx context.Context, from string, at, size int64) error {
	return m.bucket.longRequest(ctx, "copying a part", func(ctx context.Context, client *minio.Core) error {
		copied, err := client.CopyObjectPart(ctx, m.bucket.name, from, m.bucket.name, m.key, m.sent.Upload, m.sent.Last+1, at, size, nil)
		if err == nil {
			m.sent.add(copied.ETag, size)
		}
		return err
	})
}
