// Package changes keeps in PostgreSQL the changes that webhooks tell later, and how far they
// have come.
//
// A change is a row that the transaction of the change adds, while changes are held. It has no
// number then: transactions end in another order than they begin. Whoever reads changes first
// numbers those that can be seen, in the order in which they were added, one reader after the
// other. So the numbers have no gap, no change appears below a number that was told, and no
// change waits for a transaction of others. The changes of one owner are told in their order,
// because each of them is added while the owner is locked.
package changes

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// pollInterval is how often it is looked for new changes.
	pollInterval = time.Second
	// numberedAtOnce is how many changes are numbered in one transaction.
	numberedAtOnce = 10_000
)

// Changes implements store.Changes for one process of those that share a database. All methods
// may run concurrently.
type Changes struct {
	db *database.Database

	mu    sync.Mutex
	claim string  // that Bookmarks made last
	held  *uint64 // that HoldChanges was called with under the claim; nil before
}

// New returns the changes of a registry.
func New(db *database.Database) *Changes { return &Changes{db: db} }

// Line is a change as the server's function told keeps it.
func Line(change store.Change) string {
	change.User = database.Storable(change.User)
	text, _ := json.Marshal(change) // of texts, numbers and times of this age: it has no error
	return string(text)
}

// LastChange implements store.Changes.
func (c *Changes) LastChange(ctx context.Context) (uint64, error) {
	for {
		var last *int64
		if err := c.db.WriteRow(ctx, &last, `SELECT {s}.number_5($1)`, numberedAtOnce); err != nil {
			return 0, err
		}
		if last != nil {
			return uint64(*last), nil
		}
	}
}

// Bookmarks implements store.Changes.
func (c *Changes) Bookmarks(ctx context.Context) (bookmarks map[string]store.Bookmark, err error) {
	var text string
	claim := rand.Text()
	if err := c.db.WriteRow(ctx, &text, `UPDATE {s}.following SET claim = $1 RETURNING bookmarks`, claim); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.claim, c.held = claim, nil
	c.mu.Unlock()
	if err := json.Unmarshal([]byte(text), &bookmarks); err != nil {
		return nil, fmt.Errorf("%w: the bookmarks: %w", store.ErrDamaged, err)
	}
	return bookmarks, nil
}

// errClaimed: another process has taken the bookmarks.
var errClaimed = fmt.Errorf("%w: another node has read the bookmarks since", store.ErrLocked)

// SaveBookmarks implements store.Changes.
func (c *Changes) SaveBookmarks(ctx context.Context, bookmarks map[string]store.Bookmark) error {
	text, err := json.Marshal(bookmarks)
	if err != nil {
		return fmt.Errorf("encoding bookmarks: %w", err)
	}
	c.mu.Lock()
	claim := c.claim
	c.mu.Unlock()
	return c.asClaimed(ctx, `WITH saved AS (UPDATE {s}.following SET bookmarks = $2 WHERE claim = $1 RETURNING one)
		SELECT EXISTS (SELECT FROM saved)`, claim, string(text))
}

// HoldChanges implements store.Changes.
func (c *Changes) HoldChanges(ctx context.Context, after uint64) error {
	c.mu.Lock()
	claim, held := c.claim, c.held
	c.mu.Unlock()
	if held != nil && *held == after {
		return nil
	}
	var least *int64
	if after != store.NoHold {
		number := int64(after)
		least = &number
	}
	if err := c.asClaimed(ctx, `SELECT {s}.hold_5($1, $2)`, claim, least); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claim == claim {
		c.held = &after
	}
	return nil
}

// asClaimed makes a statement that tells whether the claim still counts.
func (c *Changes) asClaimed(ctx context.Context, sql string, args ...any) error {
	var counts bool
	if err := c.db.WriteRow(ctx, &counts, sql, args...); err != nil {
		return err
	}
	if !counts {
		return errClaimed
	}
	return nil
}

var _ store.Changes = (*Changes)(nil)
