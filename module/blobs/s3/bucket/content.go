package bucket

import (
	"context"
	"io"

	"github.com/minio/minio-go/v7"
)

// Content is how the bytes of an object get to the server. It belongs to one goroutine. After
// an error the content can only be dropped.
type Content interface {
	// Append takes bytes.
	Append(p []byte) error
	// Commit makes the object.
	Commit(ctx context.Context) error
	// Abort drops what came.
	Abort()
}

// Create begins an object of a size, which is negative when nobody knows it. Exactly so many
// bytes are to come. It asks the server for nothing.
func (b *Bucket) Create(key string, size int64) Content {
	switch {
	case size < 0:
		return b.Gather(key, Sent{})
	case size <= smallObject:
		return &smallContent{bucket: b, key: key}
	case size <= largestPut:
		return &streamContent{bucket: b, key: key, size: size}
	}
	return newLargeContent(b, key, size)
}

// smallContent keeps the bytes until Commit.
type smallContent struct {
	bucket *Bucket
	key    string
	bytes  []byte // what came; nothing that was only announced takes memory
}

// Append implements Content.
func (c *smallContent) Append(p []byte) error {
	c.bytes = append(c.bytes, p...)
	return nil
}

// Commit implements Content.
func (c *smallContent) Commit(ctx context.Context) error { return c.bucket.Put(ctx, c.key, c.bytes) }

// Abort implements Content.
func (c *smallContent) Abort() { c.bytes = nil }

// streamContent gives the bytes to one PUT as they come.
type streamContent struct {
	bucket *Bucket
	key    string
	size   int64
	stream *stream // nil before the first byte
	last   []byte  // what Commit sends
}

// Append implements Content. It holds the last byte back: the server has no whole object
// before Commit.
func (c *streamContent) Append(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if c.stream == nil {
		c.stream = c.bucket.newStream(func(ctx context.Context, client *minio.Core, body io.Reader) error {
			_, err := client.Client.PutObject(ctx, c.bucket.name, c.key, body, c.size, minio.PutObjectOptions{DisableMultipart: true})
			return err
		})
	}
	if err := c.stream.write(c.last); err != nil {
		return err
	}
	if err := c.stream.write(p[:len(p)-1]); err != nil {
		return err
	}
	c.last = append(c.last[:0], p[len(p)-1])
	return nil
}

// Commit implements Content.
func (c *streamContent) Commit(ctx context.Context) error {
	leave := c.stream.dog.Follow(ctx)
	defer leave()
	if err := c.stream.write(c.last); err != nil {
		return err
	}
	return c.stream.end()
}

// Abort implements Content.
func (c *streamContent) Abort() {
	if c.stream != nil {
		c.stream.drop()
	}
}
