package store

import (
	"context"
	"time"
)

// Changes is implemented by a MetadataStore that tells its changes later, such as to webhooks.
// Changes of names are told, in the order of each owner. All methods may run concurrently.
type Changes interface {
	// LastChange is the number of the last change that readers see. ErrUnavailable.
	LastChange(ctx context.Context) (uint64, error)
	// Follow returns what tells the changes after a number. It has nothing open.
	Follow(after uint64) Follower
	// HoldChanges has the changes after a number stay from now on; NoHold none. What is made
	// while nothing is held may never be told, and not be counted. ErrUnavailable, and
	// ErrLocked as by SaveBookmarks.
	HoldChanges(ctx context.Context, after uint64) error
	// Bookmarks returns what SaveBookmarks kept last, also after a crash and a rebuild. Where
	// several processes have the store open, only the one that called Bookmarks last may save
	// bookmarks and hold changes from then on. ErrDamaged, ErrUnavailable.
	Bookmarks(ctx context.Context) (map[string]Bookmark, error)
	// SaveBookmarks makes bookmarks durable, and forgets others. ErrUnavailable, ErrNoSpace,
	// and ErrLocked when another process has called Bookmarks since this one did.
	SaveBookmarks(ctx context.Context, bookmarks map[string]Bookmark) error
}

// NoHold is for HoldChanges.
const NoHold = ^uint64(0)

// Follower is for one goroutine.
type Follower interface {
	// Next returns the changes that come next, at most so many. It waits for one until ctx
	// ends. By their numbers one sees which the store has no more. After an error they are
	// told again. ErrDamaged, ErrUnavailable.
	Next(ctx context.Context, limit int) ([]Change, error)
}

// Bookmark is how far somebody has come. Of the changes before, Lost were not told, by LostAt.
type Bookmark struct {
	After, Lost   uint64
	LostAt, Saved time.Time
}
