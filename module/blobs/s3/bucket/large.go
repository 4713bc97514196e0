package bucket

import (
	"context"
	"io"

	"github.com/minio/minio-go/v7"
)

// largeContent is the bytes of an object that is too large for one PUT: parts that are given
// to the server as they come.
type largeContent struct {
	multipart
	total int64
	part  int64
	left  int64 // of the part that is sent
	begun int64 // bytes of parts with that one
	now   *stream
}

func newLargeContent(b *Bucket, key string, size int64) *largeContent {
	return &largeContent{multipart: multipart{bucket: b, key: key}, total: size, part: max(LargestPart, size/(mostParts-1))}
}

// Append implements Content.
func (c *largeContent) Append(p []byte) error {
	for len(p) > 0 {
		if c.now == nil {
			if err := c.next(); err != nil {
				return err
			}
		}
		n := min(int64(len(p)), c.left)
		if err := c.now.write(p[:n]); err != nil {
			return err
		}
		p, c.left = p[n:], c.left-n
		if c.left > 0 {
			continue
		}
		now := c.now
		c.now = nil
		if err := now.end(); err != nil {
			return err
		}
	}
	return nil
}

// next begins a part.
func (c *largeContent) next() error {
	if err := c.begin(c.bucket.open); err != nil {
		return err
	}
	size := min(c.part, c.total-c.begun)
	c.left, c.begun = size, c.begun+size
	c.now = c.bucket.newStream(func(ctx context.Context, client *minio.Core, body io.Reader) error {
		return c.send(ctx, client, body, size)
	})
	return nil
}

// Commit implements Content.
func (c *largeContent) Commit(ctx context.Context) error { return c.complete(ctx) }

// Abort implements Content.
func (c *largeContent) Abort() {
	if c.now != nil {
		c.now.drop()
	}
	c.drop()
}
