package packs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/recent"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// acquire opens the file to read it, if it is not open, and holds p.mu for reading until
// release is called. ErrBlobNotFound when the pack was removed.
func (p *pack) acquire(opened *openPacks) (file io.ReaderAt, release func(), err error) {
	for {
		p.mu.RLock()
		if p.marks.IsRemoved() {
			p.mu.RUnlock()
			return nil, nil, store.ErrBlobNotFound
		}
		if p.file != nil {
			return opened.reader(p.file), p.mu.RUnlock, nil
		}
		p.mu.RUnlock()
		if err := p.open(opened); err != nil {
			return nil, nil, err
		}
	}
}

func (p *pack) open(opened *openPacks) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil || p.marks.IsRemoved() {
		return nil
	}
	file, err := disk.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(opened.isThere(), fmt.Errorf("%w: its pack is gone: %w", store.ErrBlobNotFound, err))
	}
	if err != nil {
		return fmt.Errorf("opening a pack: %w", directory.Full(err))
	}
	p.file = file
	opened.add(p)
	return nil
}

// close closes what is open to be read.
func (p *pack) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		_ = p.file.Close() // it was only read
		p.file = nil
	}
}

// openPacks keeps the number of packs that are open to be read small.
type openPacks struct {
	most    int
	reader  func(*os.File) io.ReaderAt
	isThere func() error // as in Options
	recent.List[*pack]
}

// add requires that the caller has the lock of p, and of no other pack: another one is
// closed by a goroutine of its own.
func (o *openPacks) add(p *pack) {
	if first, full := o.Add(p, o.most); full {
		go first.close()
	}
}
