package registry

import (
	"sync"
	"sync/atomic"
)

const (
	hugeBuffer  = 1 << 20
	largeBuffer = 256 << 10
	smallBuffer = 32 << 10

	// bufferBudget bounds what all uploads of the process hold in large and huge buffers.
	bufferBudget = 32 << 20
)

// bufferPool hands out copy buffers. It never blocks: an upload that comes when
// the budget of large buffers is spent gets a small one.
type bufferPool struct {
	budget int64
	used   atomic.Int64
	huge   sync.Pool
	large  sync.Pool
	small  sync.Pool
}

// uploadBuffers is shared by every registry of the process, so that the bound
// holds however many stores are open.
var uploadBuffers = newBufferPool(bufferBudget)

func newBufferPool(budget int64) *bufferPool {
	return &bufferPool{
		budget: budget,
		huge:   sync.Pool{New: func() any { return new([hugeBuffer]byte) }},
		large:  sync.Pool{New: func() any { return new([largeBuffer]byte) }},
		small:  sync.Pool{New: func() any { return new([smallBuffer]byte) }},
	}
}

// get returns a buffer for a body of size bytes (-1 when unknown) and the
// function that gives it back.
func (p *bufferPool) get(size int64) (buffer []byte, release func()) {
	if size < 0 || size > smallBuffer {
		if buffer, release, ok := p.takeLarge(); ok {
			return buffer, release
		}
	}
	return p.takeSmall()
}

// takeLarge returns a large buffer, unless the budget is spent.
func (p *bufferPool) takeLarge() (buffer []byte, release func(), ok bool) {
	if !p.spend(largeBuffer) {
		return nil, nil, false
	}
	array := p.large.Get().(*[largeBuffer]byte)
	return array[:], func() {
		p.large.Put(array)
		p.used.Add(-largeBuffer)
	}, true
}

// takeHuge returns a huge buffer, or a large one when the budget has no more.
func (p *bufferPool) takeHuge() (buffer []byte, release func(), ok bool) {
	if !p.spend(hugeBuffer) {
		return p.takeLarge()
	}
	array := p.huge.Get().(*[hugeBuffer]byte)
	return array[:], func() {
		p.huge.Put(array)
		p.used.Add(-hugeBuffer)
	}, true
}

func (p *bufferPool) spend(bytes int64) bool {
	if p.used.Add(bytes) > p.budget {
		p.used.Add(-bytes)
		return false
	}
	return true
}

func (p *bufferPool) takeSmall() (buffer []byte, release func()) {
	array := p.small.Get().(*[smallBuffer]byte)
	return array[:], func() { p.small.Put(array) }
}
