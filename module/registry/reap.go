package registry

import (
	"context"
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
		if err := r.remove(ctx, locators); err != nil {
			return removed, err
		}
		// Only now: a crash in between reaps the same locators again.
		if err := r.metadata.Buried(ctx, locators); err != nil {
			return removed, fmt.Errorf("recording deleted blobs: %w", err)
		}
		removed += len(locators)
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
		removed += len(unnamed)
		return r.remove(ctx, unnamed)
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

func (r *Registry) remove(ctx context.Context, locators []Locator) error {
	for _, locator := range locators {
		if err := r.blobs.Delete(ctx, locator); err != nil {
			return fmt.Errorf("deleting blob %s: %w", locator, err)
		}
	}
	return nil
}
