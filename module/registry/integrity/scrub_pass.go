package integrity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// scrubPage is how many blobs are listed at a time.
const scrubPage = 256

// EachBlob calls fn for every blob after a digest, in the order of digests.
func (k *Keeper) EachBlob(ctx context.Context, after store.Digest, fn func(store.Blob) error) error {
	for {
		end := waiting.Attend(k.log, "listing blobs")
		page, err := k.metadata.Blobs(ctx, after, scrubPage)
		end()
		if err != nil {
			return fmt.Errorf("listing blobs: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, blob := range page {
			if err := fn(blob); err != nil {
				return err
			}
			after = blob.Digest
		}
	}
}

// readAll reads every blob that the scrub has not read yet.
func (k *Keeper) readAll(ctx context.Context, scrub store.Scrub) error {
	pass := &pass{keeper: k, scrub: scrub, pace: newPacer(k.scrub.pace), savedAt: time.Now(), savedBlobs: scrub.Blobs}
	k.scrub.progress(scrub, true)
	reading, end := k.stayOnDuty(ctx)
	err := pass.readJournal(reading)
	if err == nil {
		err = k.EachBlob(reading, scrub.Last, func(blob store.Blob) error { return pass.read(reading, blob) })
	}
	end()
	if err == nil {
		pass.scrub.Finished = k.wallClock()
	}
	k.scrub.progress(pass.scrub, false)
	if err != nil && errors.Is(context.Cause(reading), errElsewhere) {
		return errElsewhere
	}
	// The turn may be over, or the registry be closing: what was done counts.
	saving, cancel := waiting.Finishing(ctx)
	defer cancel()
	pass.save(saving)
	if err == nil {
		k.logScrub(ctx, pass.scrub)
	}
	return err
}

func (k *Keeper) logScrub(ctx context.Context, scrub store.Scrub) {
	level, message := slog.LevelInfo, "every blob was read and is good"
	if scrub.Damaged > 0 {
		level, message = slog.LevelError, "every blob was read, and some are damaged"
	}
	k.log.LogAttrs(ctx, level, message, slog.Time("started", scrub.Started), slog.Int64("blobs", scrub.Blobs),
		slog.Int64("bytes", scrub.Bytes), slog.Int64("damaged", scrub.Damaged))
}

// pass is a scrub while the background reads.
type pass struct {
	keeper *Keeper
	scrub  store.Scrub
	pace   *pacer

	savedAt    time.Time
	savedBlobs int64
}

// readJournal reads the journal of the metadata, at the same rate. Damage that could not
// be repaired is told by the store, and does not keep the blobs from being read.
func (p *pass) readJournal(ctx context.Context) error {
	scrubber, ok := p.keeper.metadata.(store.JournalScrubber)
	if !ok {
		return nil
	}
	err := scrubber.ScrubJournal(ctx, func(bytes int) error { return p.pace.spend(ctx, bytes) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.keeper.log.Error("scrubbing the journal", slog.Any("error", err))
	}
	return nil
}

func (p *pass) read(ctx context.Context, blob store.Blob) error {
	damage, err := p.keeper.examine(ctx, blob, p.pace, nil)
	if err != nil {
		return err
	}
	p.scrub.Last = blob.Digest
	p.scrub.Add(blob, damage != nil)
	p.keeper.scrub.progress(p.scrub, true)
	if p.scrub.Blobs-p.savedBlobs >= saveBlobs || time.Since(p.savedAt) >= saveInterval {
		p.save(ctx)
	}
	return nil
}

// stayOnDuty says again and again that this process scrubs, also while it reads one large blob,
// until end is called. The context ends with errElsewhere when another process has taken over.
func (k *Keeper) stayOnDuty(ctx context.Context) (on context.Context, end func()) {
	on, cancel := context.WithCancelCause(ctx)
	var staying sync.WaitGroup
	staying.Go(func() {
		again := time.NewTicker(dutyInterval)
		defer again.Stop()
		for {
			select {
			case <-on.Done():
				return
			case <-again.C:
			}
			// Where nobody can be asked, nobody takes over.
			if ours, err := k.isForUs(on); err == nil && !ours {
				cancel(errElsewhere)
			}
		}
	})
	return on, func() { cancel(nil); staying.Wait() }
}

// errElsewhere ends a pass that another process goes on with.
var errElsewhere = fmt.Errorf("%w: another process scrubs", store.ErrUnavailable)

// save keeps the progress. A pass over no blobs is nothing to keep.
func (p *pass) save(ctx context.Context) {
	p.savedAt, p.savedBlobs = time.Now(), p.scrub.Blobs
	if p.scrub.Blobs == 0 {
		return
	}
	if err := p.keeper.metadata.SaveScrub(ctx, p.scrub); err != nil {
		// Only work is lost, if the process ends before the next time.
		p.keeper.log.Warn("saving the progress of the scrub", slog.Any("error", err))
	}
}
