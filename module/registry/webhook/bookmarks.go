package webhook

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// saveInterval is how often bookmarks are made durable that have moved. After a crash, what
	// was delivered since is delivered again.
	saveInterval = time.Second

	// forgetAfter is when the bookmark of a hook is forgotten that no configuration has any more.
	forgetAfter = 7 * 24 * time.Hour

	// renewAfter is when a bookmark is saved again that has not moved: other processes see by
	// its time that there is such a hook.
	renewAfter = abandonedAfter / 4
)

// load reads the bookmarks, unless they are known, and tells whether they are. Requires
// d.setting.
func (d *Deliverer) load(ctx context.Context) bool {
	if d.known {
		return true
	}
	bookmarks, err := d.changes.Bookmarks(ctx)
	switch {
	case errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil:
		return false
	case err != nil:
		d.log.Error("the positions of the webhooks are unknown; webhooks begin with the next change", slog.Any("error", err))
	}
	d.known = true
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.bookmarks)
	maps.Copy(d.bookmarks, bookmarks)
	return true
}

// begin returns where a hook begins. One that was farther than the store is now belongs to
// a journal that is no more.
func (d *Deliverer) begin(ctx context.Context, id string) (store.Bookmark, error) {
	last, err := d.changes.LastChange(ctx)
	if err != nil {
		return store.Bookmark{}, err
	}
	d.last.Store(last)
	d.mu.Lock()
	defer d.mu.Unlock()
	bookmark, known := d.bookmarks[id]
	if known && bookmark.After > last {
		d.log.Error("the position of a webhook is a change that the journal does not have; the webhook begins with the next change", slog.String("webhook", id), slog.Uint64("after", bookmark.After), slog.Uint64("last", last))
	}
	if !known || bookmark.After > last {
		bookmark.After = last
	}
	return bookmark, nil
}

// keep notes where a hook is.
func (d *Deliverer) keep(r *run) {
	bookmark := r.at()
	bookmark.Saved = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bookmarks[r.id] = bookmark
}

// save makes the bookmarks durable if one has moved. What they need is held, and no more.
// Requires d.setting.
func (d *Deliverer) save(ctx context.Context) {
	if !d.known {
		return
	}
	held, moved := d.collect()
	var err error
	if moved {
		err = d.store(ctx)
	}
	if err == nil {
		err = d.changes.HoldChanges(ctx, held)
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		d.standDown()
	case err != nil && d.told.IsNews(err.Error()):
		d.log.Warn("the positions of the webhooks cannot be stored now; after a crash, webhooks send more changes again", slog.Any("error", err))
	}
}

// collect notes where all hooks are, and returns after which change they need all, and whether
// there is something to save. Requires d.setting.
func (d *Deliverer) collect() (held uint64, moved bool) {
	held = store.NoHold
	d.mu.Lock()
	for id, bookmark := range d.bookmarks {
		if d.hooks[id] != nil && d.runs[id] == nil {
			held = min(held, bookmark.After) // it has not begun yet
		}
	}
	d.mu.Unlock()
	for _, r := range d.all() {
		d.mu.Lock()
		before, known := d.bookmarks[r.id]
		d.mu.Unlock()
		now := r.at()
		held = min(held, now.After)
		isOld := d.duty != nil && time.Since(before.Saved) > renewAfter
		if !known || isOld || before.After != now.After || before.Lost != now.Lost {
			moved = true
			d.keep(r)
		}
	}
	return held, moved
}

// store makes all bookmarks durable. After an error those of hooks that are set are to be saved
// by the next try.
func (d *Deliverer) store(ctx context.Context) error {
	d.mu.Lock()
	maps.DeleteFunc(d.bookmarks, func(id string, bookmark store.Bookmark) bool {
		return d.hooks[id] == nil && time.Since(bookmark.Saved) > forgetAfter
	})
	bookmarks := maps.Clone(d.bookmarks)
	d.mu.Unlock()
	err := d.changes.SaveBookmarks(ctx, bookmarks)
	if err != nil {
		d.mu.Lock()
		for id := range d.runs {
			delete(d.bookmarks, id)
		}
		d.mu.Unlock()
	}
	return err
}
