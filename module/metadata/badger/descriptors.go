package badger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// reserveDescriptors is how many more files the process must be able to open before
	// anything is published, or the database is opened: connections, downloads and other
	// sites need them.
	reserveDescriptors = 32

	// heldDescriptors are held back, and lent when there are no others to what may begin
	// a file of the database or of the journal: no connection has them meanwhile.
	heldDescriptors = 16
	lentDescriptors = 4

	// floorDescriptors must be free or held before a change is taken.
	floorDescriptors = 8
)

// descriptors keeps the database from a process that has none left: Badger fails when it
// cannot open a file, and loses tables when a compaction cannot.
type descriptors struct {
	free func() uint64 // how many more files the process may open

	mu   sync.Mutex
	held []*os.File
}

func newDescriptors() *descriptors { return &descriptors{free: disk.FreeDescriptors} }

// forUpload reports ErrUnavailable within the reserve.
func (d *descriptors) forUpload() error { return enoughDescriptors(d.free(), reserveDescriptors) }

// forChange reports ErrUnavailable when not even a delete can be taken.
func (d *descriptors) forChange() error {
	free := d.free()
	if free >= floorDescriptors {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return enoughDescriptors(free+uint64(len(d.held)), floorDescriptors)
}

// forOpening reports ErrUnavailable when opening the database, which keeps each of its
// tables open, would leave less than the reserve.
func (d *descriptors) forOpening(path string) error {
	tables, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil {
		return fmt.Errorf("looking for tables: %w", err)
	}
	return enoughDescriptors(d.free(), uint64(len(tables)+reserveDescriptors))
}

func enoughDescriptors(free, need uint64) error {
	if free >= need {
		return nil
	}
	return fmt.Errorf("%w: this process may open %d more files (descriptors), it needs %d: raise its limit, which is LimitNOFILE of systemd and ulimit -n of a shell",
		store.ErrUnavailable, free, need)
}

// hold makes those that are held back so many again, as far as there are any.
func (d *descriptors) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.held) < heldDescriptors {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		d.held = append(d.held, file)
	}
}

// lend lets go of some, when there are few others, for what is done before they are
// taken back.
func (d *descriptors) lend() (takeBack func()) {
	if d.free() >= reserveDescriptors {
		return func() {}
	}
	d.letGo(lentDescriptors)
	return d.hold
}

// letGo closes some of those that are held.
func (d *descriptors) letGo(count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := max(len(d.held)-count, 0)
	for _, file := range d.held[keep:] {
		_ = file.Close() // it is of nothing
	}
	d.held = d.held[:keep]
}
