package filesystem

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// promiseStep is the most that is promised to an upload beyond what it is about to
// write.
const promiseStep = 16 << 20

// space keeps a reserve of the disk free. Uploads take what they are about to write
// before they write it and give it back as they do, because from then on the file
// system counts it. What an upload takes beyond follows the bytes that came: nothing
// is taken for those that a client only announces.
type space struct {
	path    string
	fsys    disk.FS
	reserve atomic.Int64

	mu    sync.Mutex
	taken int64 // by uploads in progress, not written yet
}

// check says ErrNoSpace when so many bytes have no room now. It takes nothing.
func (s *space) check(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lack(bytes)
}

// take sets bytes aside, or says ErrNoSpace.
func (s *space) take(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lack(bytes); err != nil {
		return err
	}
	s.taken += bytes
	return nil
}

// lack requires s.mu.
func (s *space) lack(bytes int64) error {
	free, err := s.fsys.Free(s.path)
	if err != nil {
		return directory.UnknownRoom(err)
	}
	if free.Files < directory.ReserveFiles {
		return fmt.Errorf("%w: the file system takes %d more files (inodes), the reserve is %d", store.ErrNoSpace, free.Files, directory.ReserveFiles)
	}
	left := int64(min(free.Bytes, math.MaxInt64)) - s.taken - s.reserve.Load()
	if left < bytes || left <= 0 {
		return fmt.Errorf("%w: %s wanted, %s free, %s promised to uploads, %s reserve", store.ErrNoSpace,
			humanize.IBytes(uint64(bytes)), humanize.IBytes(free.Bytes), humanize.IBytes(uint64(s.taken)), humanize.IBytes(uint64(s.reserve.Load())))
	}
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
	left      int64 // promised, not written yet
	allocated int64 // not written yet, but the file system counts it already
	used      int64 // written
}

// allow begins an upload of a size, -1 when unknown. ErrNoSpace when it has no room
// now.
func (s *space) allow(size int64) (*allowance, error) {
	if err := s.check(max(size, 0)); err != nil {
		return nil, err
	}
	return &allowance{space: s}, nil
}

// need makes sure that bytes more may be written. As much again as was written is
// promised beyond, if there is room for it.
func (a *allowance) need(bytes int64) error {
	lack := bytes - min(bytes, a.allocated) - a.left
	if lack <= 0 {
		return nil
	}
	if beyond := min(a.used, promiseStep); beyond > 0 && a.space.take(lack+beyond) == nil {
		a.left += lack + beyond
		return nil
	}
	if err := a.space.take(lack); err != nil {
		return err
	}
	a.left += lack
	return nil
}

// promise makes the bytes that may be written so many, if there is room for them.
func (a *allowance) promise(bytes int64) bool {
	lack := bytes - a.allocated - a.left
	if lack > 0 && a.space.take(lack) != nil {
		return false
	}
	a.left += max(lack, 0)
	return true
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
	a.used += bytes
	a.space.give(bytes - before)
}

// end gives back what was not used. Ending twice is harmless.
func (a *allowance) end() {
	a.space.give(a.left)
	a.left = 0
}
