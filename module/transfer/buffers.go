package transfer

import (
	"sync"
	"sync/atomic"
)

const (
	HugeBuffer  = 1 << 20
	LargeBuffer = 256 << 10
	SmallBuffer = 32 << 10

	// bufferBudget bounds what all uploads of the process hold in large and huge buffers.
	bufferBudget = 32 << 20
)

// BufferPool hands out copy buffers. It never blocks: an upload that comes when
// the budget of large buffers is spent gets a small one.
type BufferPool struct {
	budget int64
	used   atomic.Int64
	huge   sync.Pool
	large  sync.Pool
	small  sync.Pool
}

// UploadBuffers is shared by every registry of the process, so that the bound
// holds however many stores are open.
var UploadBuffers = NewBufferPool(bufferBudget)

// StreamBuffers are small ones, for uploads that are sent on as they come.
var StreamBuffers = NewBufferPool(0)

func NewBufferPool(budget int64) *BufferPool {
	return &BufferPool{
		budget: budget,
		huge:   sync.Pool{New: func() any { return new([HugeBuffer]byte) }},
		large:  sync.Pool{New: func() any { return new([LargeBuffer]byte) }},
		small:  sync.Pool{New: func() any { return new([SmallBuffer]byte) }},
	}
}

// Get returns a buffer for a body of size bytes (-1 when unknown) and the
// function that gives it back.
func (p *BufferPool) Get(size int64) (buffer []byte, release func()) {
	if size < 0 || size > SmallBuffer {
		if buffer, release, ok := p.takeLarge(); ok {
			return buffer, release
		}
	}
	return p.takeSmall()
}

// takeLarge returns a large buffer, unless the budget is spent.
func (p *BufferPool) takeLarge() (buffer []byte, release func(), ok bool) {
	if !p.spend(LargeBuffer) {
		return nil, nil, false
	}
	array := p.large.Get().(*[LargeBuffer]byte)
	return array[:], func() {
		p.large.Put(array)
		p.used.Add(-LargeBuffer)
	}, true
}

// takeHuge returns a huge buffer, or a large one when the budget has no more.
func (p *BufferPool) takeHuge() (buffer []byte, release func(), ok bool) {
	if !p.spend(HugeBuffer) {
		return p.takeLarge()
	}
	array := p.huge.Get().(*[HugeBuffer]byte)
	return array[:], func() {
		p.huge.Put(array)
		p.used.Add(-HugeBuffer)
	}, true
}

func (p *BufferPool) spend(bytes int64) bool {
	if p.used.Add(bytes) > p.budget {
		p.used.Add(-bytes)
		return false
	}
	return true
}

func (p *BufferPool) takeSmall() (buffer []byte, release func()) {
	array := p.small.Get().(*[SmallBuffer]byte)
	return array[:], func() { p.small.Put(array) }
}
