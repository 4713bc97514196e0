package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// largestPut is the largest object that S3 takes in one PUT.
	largestPut = 5 << 30
	// LargestPart is that of a part which is not kept in memory.
	LargestPart = 1 << 30
	// SmallestPart is that of every part but the last one.
	SmallestPart = 5 << 20
	// mostParts is how many an upload may have.
	mostParts = 10_000
)

// Part is a part that the server has.
type Part struct {
	Number int    `json:"number"`
	ETag   string `json:"etag"`
	Size   int64  `json:"size"`
}

// Sent is what the server has of a multipart upload: all that is needed to go on with it.
type Sent struct {
	// Upload is the server's ID of the multipart upload. Empty before the first part.
	Upload string `json:"upload,omitempty"`
	Parts  []Part `json:"parts,omitempty"`
	// Last is the highest number that a part may have been sent with.
	Last int `json:"last,omitempty"`
}

// spared is how many numbers of parts are left out for somebody else, who may still be sending
// some. If those are more, the upload cannot be completed (ErrOtherParts).
const spared = 8

// Spare has who goes on with the upload use other numbers than who was at it before.
func (s *Sent) Spare() { s.Last += spared }

func (s *Sent) add(etag string, size int64) {
	s.Last++
	s.Parts = append(s.Parts, Part{s.Last, etag, size})
}

// Size is how many bytes the parts have.
func (s *Sent) Size() (size int64) {
	for _, p := range s.Parts {
		size += p.Size
	}
	return size
}

// least is how small the next part may be, after parts of a size, that Flush sends. It grows with
// the object, up to a whole part: an object has no more than mostParts, however often somebody
// flushes it.
func least(sent, partSize int64) int64 {
	return min(max(SmallestPart, sent>>10), partSize)
}

// MostGathered is how large an object can certainly become after what the server has of it,
// however often it is flushed.
func (b *Bucket) MostGathered(sent Sent) int64 {
	size, partSize := sent.Size(), b.partSize()
	for range mostParts - sent.Last {
		size += least(size, partSize)
	}
	return size
}

// multipart is a multipart upload of an object.
type multipart struct {
	bucket *Bucket
	key    string
	sent   Sent
}

// begin makes the upload, before its first part.
func (m *multipart) begin(ctx context.Context) error {
	if m.sent.Upload != "" {
		return nil
	}
	return m.bucket.request(ctx, "beginning a multipart upload", func(ctx context.Context, client *minio.Core) (err error) {
		m.sent.Upload, err = client.NewMultipartUpload(ctx, m.bucket.name, m.key, minio.PutObjectOptions{})
		return err
	})
}

// put adds a part that is in memory. store.ErrTooLarge when there are too many.
func (m *multipart) put(ctx context.Context, content []byte) error {
	if m.sent.Last >= mostParts {
		return fmt.Errorf("%w: an upload has no more than %d parts: write a larger part_size", store.ErrTooLarge, mostParts)
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	return m.bucket.send(ctx, "writing a part", content, func(ctx context.Context, client *minio.Core, body io.Reader) error {
		return m.send(ctx, client, body, int64(len(content)))
	})
}

// send adds a part of a size.
func (m *multipart) send(ctx context.Context, client *minio.Core, body io.Reader, size int64) error {
	part, err := client.PutObjectPart(ctx, m.bucket.name, m.key, m.sent.Upload, m.sent.Last+1, body, size, minio.PutObjectPartOptions{})
	if err == nil {
		m.sent.add(part.ETag, size)
	}
	return err
}

// complete makes the object of the parts.
func (m *multipart) complete(ctx context.Context) error {
	parts := make([]minio.CompletePart, len(m.sent.Parts))
	for i, p := range m.sent.Parts {
		parts[i] = minio.CompletePart{PartNumber: p.Number, ETag: p.ETag}
	}
	err := m.bucket.longRequest(ctx, "completing a multipart upload", func(ctx context.Context, client *minio.Core) error {
		_, err := client.CompleteMultipartUpload(ctx, m.bucket.name, m.key, m.sent.Upload, parts, onlyNew())
		return err
	})
	return m.made(ctx, m.sent.Size(), err)
}

// made tells whether a request made the object, of a size. After an error the object tells: the
// request may have been made twice, or the answer was lost. An object of another size is
// that of somebody else, who went on with the upload too (ErrOtherParts). Parts that the object
// was not made of go.
func (m *multipart) made(ctx context.Context, size int64, err error) error {
	if err == nil {
		return nil
	}
	there, sizeErr := m.bucket.Size(ctx, m.key)
	switch {
	case sizeErr == nil && there == size:
		m.drop()
		return nil
	case sizeErr == nil && errors.Is(err, ErrTaken):
		return fmt.Errorf("%w: the object has %d bytes, not %d", ErrOtherParts, there, size)
	}
	return err
}

// drop drops the parts of an upload that nobody goes on with.
func (m *multipart) drop() {
	if err := m.bucket.Drop(context.Background(), Multipart{m.key, m.sent.Upload}); err != nil && !m.bucket.closed.Load() {
		m.bucket.log.Warn("the parts of an upload stay until they are a day old", "error", err)
	}
}
