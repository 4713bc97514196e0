package bucket

import (
	"bytes"
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

// memory bounds the buffers of uploads whose length is not known. Who gets none waits. The
// garbage collector does not know of them, where the system allows it: it would let the
// process have as much garbage as there are buffers.
type memory struct {
	bytes *semaphore.Weighted
	size  int64
}

func newMemory(size int64) *memory { return &memory{semaphore.NewWeighted(size), size} }

// take waits for a buffer. ErrUnavailable when there is none for long.
func (m *memory) take(ctx context.Context, size int64) ([]byte, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	if err := m.bytes.Acquire(ctx, size); err != nil {
		return nil, fmt.Errorf("%w: waiting for upload_memory: %w", store.ErrUnavailable, err)
	}
	buffer, err := mapBytes(int(size))
	if err != nil {
		m.bytes.Release(size)
		return nil, fmt.Errorf("%w: taking memory for an upload: %w", store.ErrUnavailable, err)
	}
	return buffer[:0], nil
}

// give gives a buffer back, which nobody may read any more.
func (m *memory) give(buffer []byte, size int64) {
	unmapBytes(buffer[:size])
	m.bytes.Release(size)
}

// lent is bytes that a request reads, until they are taken back: net/http may read a body
// when the request has ended already.
type lent struct {
	mu     sync.Mutex
	reader *bytes.Reader
}

func lend(content []byte) *lent { return &lent{reader: bytes.NewReader(content)} }

// Read implements io.Reader.
func (l *lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reader.Read(p)
}

func (l *lent) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader.Reset(nil)
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
