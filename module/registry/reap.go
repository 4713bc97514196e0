package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	reapBatch  = 1_000
	sweepBatch = 50_000
)

// wakeReaper never blocks: a token that is there already will do.
func (r *Registry) wakeReaper() {
	select {
	case r.condemned <- struct{}{}:
	default:
	}
}

// Reap deletes the bytes of every condemned locator and returns how many there
// were. It runs in the background after each delete; calling it besides is
// harmless.
func (r *Registry) Reap(ctx context.Context) (removed int, err error) {
	for {
		locators, err := r.metadata.Condemned(ctx, reapBatch)
		if err != nil {
			return removed, fmt.Errorf("listing condemned blobs: %w", err)
		}
		if len(locators) == 0 {
			return removed, nil
		}
		deleted, err := r.remove(ctx, locators)
		// Only now: a crash in between reaps the same locators again.
		if buryErr := r.metadata.Buried(ctx, deleted); buryErr != nil {
			return removed, errors.Join(err, fmt.Errorf("recording deleted blobs: %w", buryErr))
		}
		r.damage.gone(deleted)
		removed += len(deleted)
		if err != nil {
			return removed, err
		}
	}
}

// Sweep deletes bytes that no record names: what an upload left that was cut
// between storing its bytes and publishing them. It returns how many there were.
// It runs in the background at start and at intervals.
func (r *Registry) Sweep(ctx context.Context) (removed int, err error) {
	batch := make([]Locator, 0, 1024)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		unnamed, err := r.metadata.Unnamed(ctx, batch)
		if err != nil {
			return fmt.Errorf("looking for unnamed blobs: %w", err)
		}
		batch = batch[:0]
		deleted, err := r.remove(ctx, unnamed)
		removed += len(deleted)
		return err
	}
	err = r.blobs.Walk(ctx, func(locator Locator, _ int64, _ time.Time) error {
		batch = append(batch, locator)
		if len(batch) < sweepBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return removed, fmt.Errorf("walking blobs: %w", err)
	}
	return removed, flush()
}

// remove deletes bytes and returns the locators of those that are gone. One that
// cannot be deleted, such as a file that is being read on Windows, does not keep
// the others.
func (r *Registry) remove(ctx context.Context, locators []Locator) (deleted []Locator, err error) {
	for _, locator := range locators {
		if deleteErr := r.blobs.Delete(ctx, locator); deleteErr != nil {
			err = fmt.Errorf("deleting blob %s: %w", locator, deleteErr)
			continue
		}
		deleted = append(deleted, locator)
	}
	return deleted, err
}
