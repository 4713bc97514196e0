package bucket

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"
)

// Gathering is the bytes of an object whose number is not known: parts from a bounded memory,
// or one PUT when they are fewer than a part. It belongs to one goroutine.
type Gathering struct {
	multipart
	buffer buffer
}

// Gather goes on with an object after the parts that the server has, of which there may be
// none. It asks the server for nothing.
func (b *Bucket) Gather(key string, sent Sent) *Gathering {
	return &Gathering{multipart{b, key, sent}, buffer{bucket: b, size: b.partSize()}}
}

// IsThere tells whether the server still has the parts.
func (g *Gathering) IsThere(ctx context.Context) (bool, error) {
	if len(g.sent.Parts) == 0 {
		return true, nil
	}
	err := g.bucket.request(ctx, "asking for a multipart upload", func(ctx context.Context, client *minio.Core) error {
		_, err := client.ListObjectParts(ctx, g.bucket.name, g.key, g.sent.Upload, 0, 1)
		return err
	})
	if errors.Is(err, errNoUpload) || errors.Is(err, errAbsent) {
		return false, nil
	}
	return err == nil, err
}

// Append implements Content.
func (g *Gathering) Append(p []byte) error {
	for len(p) > 0 {
		if g.buffer.isFull() {
			if err := g.put(g.bucket.open, g.buffer.bytes); err != nil {
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

// Flush sends what is in memory, if it is enough for a part. It returns what the server has,
// and the bytes that it does not have: who keeps both can go on later.
func (g *Gathering) Flush(ctx context.Context) (sent Sent, rest []byte, err error) {
	if int64(len(g.buffer.bytes)) >= least(g.sent.Size(), g.buffer.size) {
		if err := g.put(ctx, g.buffer.bytes); err != nil {
			return sent, nil, err
		}
		g.buffer.release()
	}
	return g.sent, g.buffer.bytes, nil
}

// Commit implements Content.
func (g *Gathering) Commit(ctx context.Context) error {
	err := g.finish(ctx)
	if err == nil {
		g.Release()
	}
	return err
}

func (g *Gathering) finish(ctx context.Context) error {
	if len(g.sent.Parts) == 0 {
		return g.made(ctx, int64(len(g.buffer.bytes)), g.bucket.PutNew(ctx, g.key, g.buffer.bytes))
	}
	if len(g.buffer.bytes) > 0 {
		if err := g.put(ctx, g.buffer.bytes); err != nil {
			return err
		}
	}
	return g.complete(ctx)
}

// Release gives the memory back, and leaves the parts to whoever goes on with them.
func (g *Gathering) Release() { g.buffer.release() }

// Abort implements Content.
func (g *Gathering) Abort() {
	g.Release()
	g.drop()
}
