package removal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const reapBatch = 1_000

// WakeReaper says that there may be bytes to reap. It never blocks.
func (r *Remover) WakeReaper() {
	select {
	case r.condemned <- struct{}{}:
	default: // a token that is there already will do
	}
}

// ReapDue has a token when there may be bytes to reap.
func (r *Remover) ReapDue() <-chan struct{} { return r.condemned }

// Reap deletes the bytes of every condemned locator, and what a crash brought back, and
// returns how many there were. It runs in the background after each delete; who calls it besides
// waits for that. While a backup is made it deletes nothing; it runs right after that.
func (r *Remover) Reap(ctx context.Context) (removed int, err error) {
	select { // what another call is at is not done
	case r.reaping <- struct{}{}:
		defer func() { <-r.reaping }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	removed, err = r.reapRecovered(ctx) // which does not keep the others
	for more := true; more; {
		n, left, batchErr := r.reapBatch(ctx)
		removed += n
		err = errors.Join(err, batchErr)
		more = batchErr == nil && (left || n > 0)
	}
	return removed, err
}

// reapRecovered deletes what the blob store wrote again, when it was opened, and nothing
// names, unless the metadata may be older than the blobs. More than a crash leaves is left to
// the sweep, which is careful.
func (r *Remover) reapRecovered(ctx context.Context) (removed int, err error) {
	recovered := r.recovered.Load()
	if recovered == nil || !r.hold.begin() {
		return 0, nil
	}
	defer r.hold.end()
	if err := r.KeepPosition(ctx, false); err != nil && !errors.Is(err, store.ErrNoSpace) {
		return 0, err
	}
	unnamed, err := r.unnamed(ctx, *recovered)
	if err != nil {
		return 0, fmt.Errorf("looking for unnamed blobs: %w", err)
	}
	if len(unnamed) > Usual {
		unnamed = nil
	}
	deleted, err := r.remove(ctx, unnamed)
	if err == nil {
		r.recovered.Store(nil)
	}
	return len(deleted), err
}

// reapBatch also tells whether there is more to do although nothing was deleted.
func (r *Remover) reapBatch(ctx context.Context) (removed int, more bool, err error) {
	if !r.hold.begin() {
		return 0, false, nil
	}
	defer r.hold.end()
	locators, more, err := r.due(ctx)
	r.changed(ctx)
	if len(locators) == 0 {
		return 0, more, err
	}
	slices.Sort(locators) // what lies together is deleted together, in an order that a test can repeat
	deleted, removeErr := r.remove(ctx, locators)
	err = errors.Join(err, removeErr)
	// Only now: a crash in between reaps the same locators again.
	end := waiting.Attend(r.log, "recording deleted blobs")
	buryErr := r.metadata.Bury(ctx, deleted)
	end()
	if buryErr != nil {
		return 0, false, errors.Join(err, fmt.Errorf("recording deleted blobs: %w", buryErr))
	}
	r.graces.forget(deleted)
	return len(deleted), more, err
}

// graceful is how many condemned blobs are listed at once where there is a grace: those that
// are not due yet may stand before those that are.
const graceful = 100_000

// due returns condemned locators whose bytes may go now, and tells whether deletes have left
// more to clean up. Where there is a grace it cleans up each time, and lists seldom: the graces
// of bytes begin once they are condemned. An error of the clean-up does not keep the others.
func (r *Remover) due(ctx context.Context) (locators []store.Locator, more bool, err error) {
	grace, limit := r.grace(), reapBatch
	if grace > 0 {
		limit = graceful
		end := waiting.Attend(r.log, "cleaning up after deletes")
		more, err = r.metadata.CleanUp(ctx)
		end()
		if err != nil {
			err = fmt.Errorf("cleaning up after deletes: %w", err)
		}
		if !r.graces.mayBeDue(r.now(), grace) {
			return nil, more, err
		}
	}
	end := waiting.Attend(r.log, "listing condemned blobs")
	locators, listErr := r.metadata.Reclaim(ctx, limit)
	end()
	if listErr != nil {
		err = errors.Join(err, fmt.Errorf("listing condemned blobs: %w", listErr))
	}
	if listErr != nil && len(locators) == 0 {
		return nil, more, err // and all keep what has passed of their graces
	}
	return r.graces.due(locators, r.now(), grace), more, err
}

// grace is for how long the bytes of condemned blobs stay.
func (r *Remover) grace() time.Duration {
	if blobs, ok := r.blobs.(remote.Graceful); ok {
		return blobs.Grace()
	}
	return 0
}

// graceLooks is how often in a grace condemned blobs are listed. There may be as many as were
// deleted and published again in a whole grace, and the reaper is woken by each of them.
const graceLooks = 16

// graces are since when blobs are known to be condemned, where they have a grace. It begins
// anew with the process: what is condemned stays so until its bytes are gone.
type graces struct {
	mu     sync.Mutex
	since  map[store.Locator]time.Time
	looked time.Time // when none was due; zero when one was, which may not be deleted yet
}

// mayBeDue tells whether it is time to list what is condemned.
func (g *graces) mayBeDue(now time.Time, grace time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ago := now.Sub(g.looked)
	return ago < 0 || ago >= grace/graceLooks // a clock may be set back
}

// due returns those of all condemned blobs whose grace is over, at most reapBatch.
func (g *graces) due(condemned []store.Locator, now time.Time, grace time.Duration) (due []store.Locator) {
	if grace <= 0 {
		return condemned
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	since := make(map[store.Locator]time.Time, len(condemned))
	for _, locator := range condemned {
		known, ok := g.since[locator]
		if !ok {
			known = now
		}
		since[locator] = known
		if now.Sub(known) >= grace && len(due) < reapBatch {
			due = append(due, locator)
		}
	}
	if g.since, g.looked = since, now; len(due) > 0 {
		g.looked = time.Time{}
	}
	return due
}

// forget forgets what is deleted.
func (g *graces) forget(deleted []store.Locator) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, locator := range deleted {
		delete(g.since, locator)
	}
}

// remove deletes bytes and returns the locators of those that are gone. One that
// cannot be deleted, such as a file that is being read on Windows, does not keep
// the others.
func (r *Remover) remove(ctx context.Context, locators []store.Locator) (deleted []store.Locator, err error) {
	if blobs, ok := r.blobs.(remote.BatchDeleter); ok && len(locators) > 0 {
		defer waiting.Attend(r.log, "deleting blobs")()
		if deleted, err = blobs.DeleteAll(ctx, locators); err != nil {
			err = fmt.Errorf("deleting blobs: %w", err)
		}
		return deleted, err
	}
	for _, locator := range locators {
		end := waiting.Attend(r.log, "deleting a blob")
		deleteErr := r.blobs.Delete(ctx, locator)
		end()
		if deleteErr != nil {
			err = fmt.Errorf("deleting blob %s: %w", locator, deleteErr)
			continue
		}
		deleted = append(deleted, locator)
	}
	return deleted, err
}
