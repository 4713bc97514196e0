// Package downloads counts downloads in memory, and gives the counts to the metadata store
// every few seconds.
package downloads

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// Interval is for how long downloads are counted in memory before the store has them. A
	// crash may lose those of one interval.
	Interval = 2 * time.Second

	// mostFiles is of how many files downloads are counted while the store takes none.
	mostFiles = 100_000
)

// Counter counts the downloads that the store does not have yet. All methods may run
// concurrently.
type Counter struct {
	metadata store.MetadataStore
	now      func() time.Time

	mu      sync.Mutex
	waiting map[int64]store.Download // by the ID of the file
}

// New returns a counter for a metadata store.
func New(metadata store.MetadataStore, now func() time.Time) *Counter {
	return &Counter{metadata: metadata, now: now}
}

// add counts downloads, unless there are too many files already.
func (c *Counter) add(more store.Download) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, found := c.waiting[more.ID]
	if !found && len(c.waiting) >= mostFiles {
		return
	}
	if c.waiting == nil {
		c.waiting = make(map[int64]store.Download)
	}
	more.Count += known.Count
	if known.Last.After(more.Last) {
		more.Last = known.Last
	}
	c.waiting[more.ID] = more
}

// take returns what was counted, and counts anew.
func (c *Counter) take() (all []store.Download) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, counted := range c.waiting {
		all = append(all, counted)
	}
	c.waiting = nil
	return all
}

// NoteDownload counts a download of a published file. It does no I/O: the store has it
// within a few seconds.
func (c *Counter) NoteDownload(file store.File) {
	c.add(store.Download{Ref: file.Ref, ID: file.ID, Count: 1, Last: c.now()})
}

// StoreDownloads gives the store what was counted, and returns of how many files the store
// has taken it. What the store does not take is counted on.
func (c *Counter) StoreDownloads(ctx context.Context) (stored int, err error) {
	all := c.take()
	if len(all) == 0 {
		return 0, nil
	}
	var problems []error
	for some := range slices.Chunk(all, store.MaxDownloads) {
		err := c.metadata.AddDownloads(ctx, some)
		switch {
		case err == nil:
			stored += len(some)
			continue
		case errors.Is(err, store.ErrUnavailable): // otherwise the store may have them
			for _, counted := range some {
				c.add(counted)
			}
		}
		problems = append(problems, err)
	}
	return stored, errors.Join(problems...)
}
