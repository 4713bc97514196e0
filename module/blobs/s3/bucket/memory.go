package bucket

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// smallObject is up to which size bytes are kept until Commit without being counted: as many
// as came, of each upload at once.
const smallObject = 256 << 10

// memory bounds the buffers of uploads whose length is not known. Who gets none waits.
type memory struct {
	bytes *semaphore.Weighted
	used  sync.Pool // of *[]byte, to be used again before the garbage collector has them
}

func newMemory(size int64) *memory { return &memory{bytes: semaphore.NewWeighted(size)} }

// take waits for a buffer. ErrUnavailable when there is none for long.
func (m *memory) take(ctx context.Context, size int64) ([]byte, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	if err := m.bytes.Acquire(ctx, size); err != nil {
		return nil, fmt.Errorf("%w: waiting for upload_memory: %w", store.ErrUnavailable, err)
	}
	if used, ok := m.used.Get().(*[]byte); ok && int64(cap(*used)) == size {
		return *used, nil
	}
	return make([]byte, 0, size), nil
}

// give gives a buffer back.
func (m *memory) give(buffer []byte, size int64) {
	buffer = buffer[:0]
	m.used.Put(&buffer)
	m.bytes.Release(size)
}

// buffer is bytes that wait to be a part. A whole part is taken from the memory before the
// first byte beyond smallObject: who has half a part does not wait for the other half.
type buffer struct {
	bucket *Bucket
	bytes  []byte
	size   int64 // of a part
	taken  bool
}

// fill takes as many bytes as there is room for.
func (b *buffer) fill(p []byte) (n int, err error) {
	if !b.taken && len(b.bytes)+len(p) > smallObject {
		whole, err := b.bucket.memory.take(b.bucket.open, b.size)
		if err != nil {
			return 0, err
		}
		b.taken = true
		b.bytes = append(whole, b.bytes...)
	}
	n = min(len(p), int(b.size)-len(b.bytes))
	b.bytes = append(b.bytes, p[:n]...)
	return n, nil
}

func (b *buffer) isFull() bool { return int64(len(b.bytes)) >= b.size }

// release gives the memory back.
func (b *buffer) release() {
	if b.taken {
		b.bucket.memory.give(b.bytes, b.size)
	}
	b.bytes, b.taken = nil, false
}
