package filesystem

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// unknownStep is what an upload of unknown size reserves at a time.
const unknownStep = 16 << 20

// space keeps a reserve of the disk free. Uploads take what they are going to
// write before they write it and give it back as they do, because from then on
// the file system counts it.
type space struct {
	path    string
	fsys    disk.FS
	reserve atomic.Int64

	mu    sync.Mutex
	taken int64 // by uploads under way, not written yet
}

// take sets bytes aside, or says ErrNoSpace.
func (s *space) take(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := s.fsys.Free(s.path)
	if err != nil {
		return fmt.Errorf("asking for free space: %w", directory.Full(err))
	}
	left := int64(min(free, math.MaxInt64)) - s.taken - s.reserve.Load()
	if left < bytes || left <= 0 {
		return fmt.Errorf("%w: %s wanted, %s free, %s promised to uploads, %s reserve", registry.ErrNoSpace,
			humanize.IBytes(uint64(bytes)), humanize.IBytes(free), humanize.IBytes(uint64(s.taken)), humanize.IBytes(uint64(s.reserve.Load())))
	}
	s.taken += bytes
	return nil
}

func (s *space) give(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= bytes
}

// allowance is one upload's share.
type allowance struct {
	space     *space
	left      int64
	allocated int64 // not written yet, but the file system counts it already
}

func (s *space) allow(size int64) (*allowance, error) {
	if size < 0 {
		size = unknownStep
	}
	if err := s.take(size); err != nil {
		return nil, err
	}
	return &allowance{space: s, left: size}, nil
}

// need makes sure that bytes more may be written.
func (a *allowance) need(bytes int64) error {
	bytes -= min(bytes, a.allocated)
	if bytes <= a.left {
		return nil
	}
	step := max(unknownStep, bytes-a.left)
	if err := a.space.take(step); err != nil {
		return err
	}
	a.left += step
	return nil
}

// allocate says that the file system has set all of the allowance aside.
func (a *allowance) allocate() {
	a.allocated += a.left
	a.end()
}

// written says that bytes of the allowance are on disk.
func (a *allowance) written(bytes int64) {
	before := min(bytes, a.allocated)
	a.allocated -= before
	a.left -= bytes - before
	a.space.give(bytes - before)
}

// end gives back what was not used. Ending twice is harmless.
func (a *allowance) end() {
	a.space.give(a.left)
	a.left = 0
}
