// Package feed tells the changes of a journal that is being written to who asks for them
// later, and keeps how far they have come.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// bookmarksFile is the name of the file of bookmarks.
const bookmarksFile = "bookmarks.json"

// Feed implements store.Changes over the journal of a store. All methods may run
// concurrently.
type Feed struct {
	file    string
	fsys    disk.FS
	current func() (*journal.Journal, error)

	held   atomic.Uint64
	saving sync.Mutex

	mu   sync.Mutex
	last uint64
	next chan struct{} // closed with the next change; nil when nobody waits
}

// New returns the feed of a store whose directory is given. Current returns the open
// journal; its error is store.ErrUnavailable. Until HoldChanges is called, what the bookmarks
// need is held.
func New(path string, fsys disk.FS, current func() (*journal.Journal, error)) *Feed {
	f := &Feed{file: filepath.Join(path, bookmarksFile), fsys: fsys, current: current}
	f.held.Store(store.NoHold)
	bookmarks, err := f.Bookmarks(context.Background())
	if err != nil {
		f.held.Store(0) // nobody knows what they need
	}
	for _, bookmark := range bookmarks {
		f.held.Store(min(f.held.Load(), bookmark.After))
	}
	return f
}

// Announce says that readers see all changes up to a number.
func (f *Feed) Announce(last uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last == f.last {
		return
	}
	f.last = last
	if f.next != nil {
		close(f.next)
		f.next = nil
	}
}

// LastChange implements store.Changes.
func (f *Feed) LastChange(context.Context) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, nil
}

// await waits for a change after a number, and returns the number of the last one.
func (f *Feed) await(ctx context.Context, after uint64) (last uint64, err error) {
	for {
		f.mu.Lock()
		if f.last > after {
			defer f.mu.Unlock()
			return f.last, nil
		}
		if f.next == nil {
			f.next = make(chan struct{})
		}
		next := f.next
		f.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// HoldChanges implements store.Changes.
func (f *Feed) HoldChanges(_ context.Context, after uint64) error {
	f.held.Store(after)
	return nil
}

// Held returns the first change that is held, or zero.
func (f *Feed) Held() uint64 { return f.held.Load() + 1 }

// Bookmarks implements store.Changes.
func (f *Feed) Bookmarks(context.Context) (bookmarks map[string]store.Bookmark, err error) {
	text, err := os.ReadFile(f.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading bookmarks: %w", err)
	}
	if err := json.Unmarshal(text, &bookmarks); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", store.ErrDamaged, f.file, err)
	}
	return bookmarks, nil
}

// SaveBookmarks implements store.Changes.
func (f *Feed) SaveBookmarks(_ context.Context, bookmarks map[string]store.Bookmark) error {
	if _, err := f.current(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(bookmarks, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding bookmarks: %w", err)
	}
	f.saving.Lock()
	defer f.saving.Unlock()
	if err := disk.WriteFile(f.fsys, f.file, string(text)+"\n"); err != nil {
		return directory.Full(err)
	}
	return nil
}

// Follow implements store.Changes.
func (f *Feed) Follow(after uint64) store.Follower {
	return &follower{feed: f, after: after}
}

type follower struct {
	feed  *Feed
	after uint64
	at    *journal.Place // where that is in the journal, if it is known
}

// Next implements store.Follower.
func (r *follower) Next(ctx context.Context, limit int) ([]store.Change, error) {
	last, err := r.feed.await(ctx, r.after)
	if err != nil {
		return nil, err
	}
	j, err := r.feed.current()
	if err != nil {
		return nil, err
	}
	changes, err := r.read(ctx, j, last, limit)
	for err != nil && errors.Is(err, store.ErrNotContinued) {
		if err := r.leap(j); err != nil {
			return nil, err
		}
		changes, err = r.read(ctx, j, last, limit)
	}
	return changes, err
}

// read returns the changes after those that were told, up to what cannot be read.
func (r *follower) read(ctx context.Context, j *journal.Journal, last uint64, limit int) (changes []store.Change, err error) {
	at := r.at
	r.at = nil // after an error it is not known
	if at == nil {
		at = &journal.Place{Position: store.Position{Sequence: r.after}}
	}
	err = j.ReadOn(ctx, at, min(last, r.after+uint64(limit)), func(_ []byte, change store.Change, _ store.Digest) error {
		changes = append(changes, change)
		return nil
	})
	switch {
	case err == nil:
		r.after, r.at = at.Sequence, at
	case len(changes) > 0:
		r.after = changes[len(changes)-1].Sequence // the next reading meets the error again
	default:
		return nil, err
	}
	return changes, nil
}

// leap goes on where the journal does, behind changes that it has no more: at the oldest
// checkpoint after them, which stands for them, or where the next segment begins before it.
func (r *follower) leap(j *journal.Journal) error {
	checkpoints, err := j.Checkpoints()
	if err != nil {
		return err
	}
	next := r.after
	for _, c := range checkpoints { // the newest first
		if c.Sequence > r.after {
			next = c.Sequence
		}
	}
	if next == r.after {
		return fmt.Errorf("%w: the journal lacks the changes after %d", store.ErrDamaged, r.after)
	}
	hole, err := j.HoleEnd(r.after)
	if err != nil {
		return err
	}
	r.after, r.at = min(next, hole), nil
	return nil
}

var (
	_ store.Changes  = (*Feed)(nil)
	_ store.Follower = (*follower)(nil)
)
