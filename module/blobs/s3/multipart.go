package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
)

const (
	// largestPut is the largest object that S3 takes in one PUT.
	largestPut = 5 << 30
	// largePart is that of a part which is not kept in memory.
	largePart = 1 << 30
	// smallestPart is that of every part but the last one.
	smallestPart = 5 << 20
	// mostParts is how many an upload may have.
	mostParts = 10_000
)

// part is a part of a multipart upload, as its session has it.
type part struct {
	ETag string `json:"etag"`
	Size int64  `json:"size"`
}

// multipart is a multipart upload.
type multipart struct {
	store *Store
	key   string
	id    string // empty before the first part
	parts []part
}

// begin makes the upload, before its first part.
func (m *multipart) begin(ctx context.Context) error {
	if m.id != "" {
		return nil
	}
	return m.store.request(ctx, "beginning a multipart upload", func(ctx context.Context, client *minio.Core) (err error) {
		m.id, err = client.NewMultipartUpload(ctx, m.store.bucket, m.key, minio.PutObjectOptions{})
		return err
	})
}

// put adds a part that is in memory.
func (m *multipart) put(ctx context.Context, content []byte) error {
	dog := watch(ctx, m.store.tuning().timeout)
	defer dog.end()
	if err := m.begin(dog.ctx); err != nil {
		return err
	}
	err := m.send(dog.ctx, m.store.client(), &watchedBody{bytes.NewReader(content), dog}, int64(len(content)))
	err = translate(dog.ctx, "writing a part", err)
	m.store.health.note(err)
	return err
}

// send adds a part of a size.
func (m *multipart) send(ctx context.Context, client *minio.Core, body io.Reader, size int64) error {
	if len(m.parts) == mostParts {
		return fmt.Errorf("an upload has no more than %d parts: write a larger part_size", mostParts)
	}
	sent, err := client.PutObjectPart(ctx, m.store.bucket, m.key, m.id, len(m.parts)+1, body, size, minio.PutObjectPartOptions{})
	if err == nil {
		m.parts = append(m.parts, part{sent.ETag, size})
	}
	return err
}

// size is how many bytes the parts have.
func (m *multipart) size() (size int64) {
	for _, p := range m.parts {
		size += p.Size
	}
	return size
}

// complete makes the object of the parts. When nobody knows whether that happened, the object
// tells.
func (m *multipart) complete(ctx context.Context) error {
	parts := make([]minio.CompletePart, len(m.parts))
	for i, p := range m.parts {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: p.ETag}
	}
	err := m.store.longRequest(ctx, "completing a multipart upload", func(ctx context.Context, client *minio.Core) error {
		_, err := client.CompleteMultipartUpload(ctx, m.store.bucket, m.key, m.id, parts, minio.PutObjectOptions{})
		return err
	})
	if err == nil {
		return nil
	}
	if size, statErr := m.store.stat(ctx, m.key); statErr == nil && size == m.size() {
		return nil
	}
	return err
}

// abort drops the parts. If that fails they are cleaned away later.
func (m *multipart) abort(ctx context.Context) error {
	if m.id == "" {
		return nil
	}
	err := m.store.request(ctx, "dropping a multipart upload", func(ctx context.Context, client *minio.Core) error {
		return client.AbortMultipartUpload(ctx, m.store.bucket, m.key, m.id)
	})
	if errors.Is(err, errNoUpload) {
		return nil
	}
	return err
}

// drop is abort of an upload that nobody goes on with.
func (m *multipart) drop() {
	if err := m.abort(context.Background()); err != nil && !m.store.closed.Load() {
		m.store.log.Warn("the parts of an upload stay until they are a day old", "error", err)
	}
}

// gathered is the bytes of a blob whose size is not known: parts from a bounded memory, or
// one PUT when they are fewer than a part.
type gathered struct {
	multipart
	buffer buffer
}

func newGathered(s *Store, key string) *gathered {
	return &gathered{multipart{store: s, key: key}, buffer{store: s, size: s.tuning().partSize}}
}

func (g *gathered) write(p []byte) error {
	for len(p) > 0 {
		if g.buffer.isFull() {
			if err := g.put(g.store.writing, g.buffer.bytes); err != nil {
				return err
			}
			g.buffer.release() // others who wait have their turn
		}
		n, err := g.buffer.fill(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (g *gathered) commit(ctx context.Context) error {
	err := g.finish(ctx)
	if err == nil {
		g.buffer.release()
	}
	return err
}

// finish makes the object of the parts and of what is in memory.
func (g *gathered) finish(ctx context.Context) error {
	if len(g.parts) == 0 {
		return g.store.putBytes(ctx, g.key, g.buffer.bytes, minio.PutObjectOptions{})
	}
	if len(g.buffer.bytes) > 0 {
		if err := g.put(ctx, g.buffer.bytes); err != nil {
			return err
		}
	}
	return g.complete(ctx)
}

func (g *gathered) abort() {
	g.buffer.release()
	g.drop()
}

// largeContent is the bytes of a blob that is too large for one PUT: parts that are given to
// the server as they come.
type largeContent struct {
	multipart
	total int64
	part  int64
	left  int64 // of the part that is sent
	sent  int64 // parts before it
	now   *stream
}

func newLargeContent(s *Store, key string, size int64) *largeContent {
	return &largeContent{multipart: multipart{store: s, key: key}, total: size, part: max(largePart, size/(mostParts-1))}
}

func (c *largeContent) write(p []byte) error {
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
	if err := c.begin(c.store.writing); err != nil {
		return err
	}
	size := min(c.part, c.total-c.sent)
	c.left, c.sent = size, c.sent+size
	c.now = c.store.newStream(func(ctx context.Context, client *minio.Core, body io.Reader) error {
		return c.send(ctx, client, body, size)
	})
	return nil
}

func (c *largeContent) commit(ctx context.Context) error { return c.complete(ctx) }

func (c *largeContent) abort() {
	if c.now != nil {
		c.now.drop()
	}
	c.drop()
}
