package store

import (
	"context"
	"time"
)

// Changes is implemented by a MetadataStore that tells its changes later, such as to webhooks.
type Changes interface {
	// LastChange is the number of the last change that readers see.
	LastChange() uint64
	// Follow returns what tells the changes after a number. It has nothing open.
	Follow(after uint64) Follower
	// HoldChanges has the changes after a number stay from now on; NoHold none.
	HoldChanges(after uint64)
	// Bookmarks returns what SaveBookmarks kept last, also after a crash and a rebuild. ErrDamaged.
	Bookmarks() (map[string]Bookmark, error)
	// SaveBookmarks makes bookmarks durable, and forgets others. ErrUnavailable, ErrNoSpace.
	SaveBookmarks(bookmarks map[string]Bookmark) error
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
