package registry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// downloadInterval is how long downloads are counted in memory before the store has
	// them: what a crash may lose.
	downloadInterval = 2 * time.Second

	// downloadsMost is of how many files downloads are counted while the store takes none.
	downloadsMost = 100_000
)

// downloads are those that the store does not have yet, by the ID of the file.
type downloads struct {
	mu      sync.Mutex
	waiting map[int64]store.Download
}

// add counts downloads, unless there are too many files already.
func (d *downloads) add(more store.Download) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, found := d.waiting[more.ID]
	if !found && len(d.waiting) >= downloadsMost {
		return
	}
	if d.waiting == nil {
		d.waiting = make(map[int64]store.Download)
	}
	more.Count += known.Count
	if known.Last.After(more.Last) {
		more.Last = known.Last
	}
	d.waiting[more.ID] = more
}

// take returns what was counted, and counts anew.
func (d *downloads) take() (all []store.Download) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, counted := range d.waiting {
		all = append(all, counted)
	}
	d.waiting = nil
	return all
}

// NoteDownload counts a download of a published file. It does no I/O: the store has it
// within a few seconds.
func (r *Registry) NoteDownload(file store.File) {
	r.downloads.add(store.Download{Ref: file.Ref, ID: file.ID, Count: 1, Last: r.now()})
}

// storeDownloads gives the store what was counted. What it does not take is counted on.
func (r *Registry) storeDownloads(ctx context.Context) (stored int, err error) {
	all := r.downloads.take()
	if len(all) == 0 {
		return 0, nil
	}
	var problems []error
	for some := range slices.Chunk(all, store.MaxDownloads) {
		err := r.metadata.AddDownloads(ctx, some)
		switch {
		case err == nil:
			stored += len(some)
			continue
		case errors.Is(err, store.ErrUnavailable): // otherwise the store may have them
			for _, counted := range some {
				r.downloads.add(counted)
			}
		}
		problems = append(problems, err)
	}
	return stored, errors.Join(problems...)
}
