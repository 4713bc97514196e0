// Package descriptors keeps the database from a process that can open no more files: Badger
// fails when it cannot open one, and loses tables when a compaction cannot.
package descriptors

import (
	"fmt"
	"os"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// Spare is how many more files the process must be able to open before
	// anything is published, or the database is opened: connections, downloads and other
	// sites need them.
	Spare = 32

	// Held are held back, and lent when there are no others to what may begin
	// a file of the database or of the journal: no connection has them meanwhile.
	Held = 16
	Lent = 4

	// Floor must be free or held before a change is taken.
	Floor = 8
)

// Descriptors are those of the process, of which some are held back. All methods may run
// concurrently.
type Descriptors struct {
	// Free tells how many more files the process may open. Tests have another one.
	Free func() uint64

	mu   sync.Mutex
	held []*os.File
}

// New returns those of this process, of which none is held yet.
func New() *Descriptors { return &Descriptors{Free: disk.FreeDescriptors} }

// Count is how many are held.
func (d *Descriptors) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held)
}

// ForUpload reports ErrUnavailable within the reserve.
func (d *Descriptors) ForUpload() error { return enough(d.Free(), Spare) }

// ForChange reports ErrUnavailable when not even a delete can be taken.
func (d *Descriptors) ForChange() error {
	free := d.Free()
	if free >= Floor {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return enough(free+uint64(len(d.held)), Floor)
}

// ForOpening reports ErrUnavailable when opening the database, which keeps each of its
// tables open, would leave less than the reserve.
func (d *Descriptors) ForOpening(path string) error {
	tables, err := disk.Matching(path, "*.sst")
	if err != nil {
		return fmt.Errorf("looking for tables: %w", err)
	}
	return enough(d.Free(), uint64(len(tables)+Spare))
}

func enough(free, need uint64) error {
	if free >= need {
		return nil
	}
	return fmt.Errorf("%w: this process may open %d more files (descriptors), it needs %d: raise its limit, which is LimitNOFILE of systemd and ulimit -n of a shell",
		store.ErrUnavailable, free, need)
}

// Hold makes those that are held back so many again, as far as there are any.
func (d *Descriptors) Hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.held) < Held {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		d.held = append(d.held, file)
	}
}

// Lend lets go of some, when there are few others, for what is done before they are
// taken back.
func (d *Descriptors) Lend() (takeBack func()) {
	if d.Free() >= Spare {
		return func() {}
	}
	d.LetGo(Lent)
	return d.Hold
}

// LetGo closes some of those that are held.
func (d *Descriptors) LetGo(count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := max(len(d.held)-count, 0)
	for _, file := range d.held[keep:] {
		_ = file.Close() // it is of nothing
	}
	d.held = d.held[:keep]
}
