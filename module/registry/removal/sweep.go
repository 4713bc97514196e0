package removal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// sweepBatch is how many locators the metadata store is asked for at a time.
	sweepBatch = 50_000
	// sweepMemory bounds how many locators are remembered from one sweep to the next.
	sweepMemory = 100_000

	// A sweep that would delete more than Usual blobs, and more than 1/UsualShare of all
	// blobs, deletes nothing until an administrator confirms it.
	Usual      = 1_000
	UsualShare = 100

	// What is in quarantine stays for so long, and no more than so many blobs do.
	quarantineAge   = 30 * 24 * time.Hour
	quarantineBlobs = 1_000
)

// sweeper is what is known of the sweeps.
type sweeper struct {
	running sync.Mutex // one at a time; guards seen
	seen    map[store.Locator]struct{}

	withheld     atomic.Int64
	blobs, bytes atomic.Int64 // that the last sweep saw
}

// SweepHealth is how the deleting of bytes that nothing names is.
type SweepHealth struct {
	// Withheld is how many blobs the last sweep found that nothing names, when they
	// were too many to be deleted without being asked. Zero when it deletes.
	Withheld int64
	// Blobs and Bytes are what the last sweep saw, of whatever names. Zero before the first.
	Blobs, Bytes int64
}

// Swept tells how the sweeps are, at once.
func (r *Remover) Swept() SweepHealth {
	s := &r.sweeper
	return SweepHealth{Withheld: s.withheld.Load(), Blobs: s.blobs.Load(), Bytes: s.bytes.Load()}
}

// Sweep deletes bytes that no record names: what a crash left between storing the
// bytes and publishing them. It deletes those that are older than store.SweepAfter and
// that the sweep before found too, and returns how many there were. When they are
// unusually many it deletes none, until ConfirmSweep. It runs in the background at
// start and at intervals. While a backup is made it deletes nothing.
func (r *Remover) Sweep(ctx context.Context) (removed int, err error) {
	return r.runSweep(ctx, false)
}

// ConfirmSweep says that the metadata is right: it deletes what sweeps withheld because
// it was unusually much, and takes metadata that is older than the blobs. Otherwise it
// is an ordinary sweep. ErrUnavailable when a backup that is being made keeps it from that.
func (r *Remover) ConfirmSweep(ctx context.Context) (removed int, err error) {
	if err := r.KeepPosition(ctx, true); err != nil {
		return 0, err
	}
	return r.runSweep(ctx, r.sweeper.withheld.Load() > 0)
}

func (r *Remover) runSweep(ctx context.Context, confirmed bool) (removed int, err error) {
	r.sweeper.running.Lock()
	defer r.sweeper.running.Unlock()
	switch err := r.KeepPosition(ctx, false); {
	case r.IsBehind() != nil:
		return 0, nil // which is told once, and by health
	case err != nil && !errors.Is(err, store.ErrNoSpace): // it may make room
		return 0, err
	}
	uploads, err := r.uploads(ctx)
	if err != nil {
		return 0, err
	}
	pass := &sweepPass{
		remover: r, confirmed: confirmed, uploads: uploads, before: r.now().Add(-store.SweepAfter),
		known: r.sweeper.seen, found: make(map[store.Locator]struct{}),
	}
	if err := pass.walk(ctx); err != nil {
		return pass.removed, err
	}
	r.sweeper.seen = pass.found
	r.sweeper.blobs.Store(pass.walked)
	r.sweeper.bytes.Store(pass.bytes)
	err = pass.end(ctx)
	return pass.removed, errors.Join(err, r.purgeQuarantine(ctx))
}

// purgeQuarantine deletes damaged bytes that nobody looked at, lest deleted files stay
// there for ever.
func (r *Remover) purgeQuarantine(ctx context.Context) error {
	end := waiting.Attend(r.log, "deleting from the quarantine")
	removed, err := r.blobs.PurgeQuarantine(ctx, r.now().Add(-quarantineAge), quarantineBlobs)
	end()
	if removed > 0 {
		r.log.Info("deleted damaged bytes from the quarantine", slog.Int("deleted", removed))
	}
	if err != nil {
		return fmt.Errorf("deleting from the quarantine: %w", err)
	}
	return nil
}

// sweepPass is one sweep.
type sweepPass struct {
	remover   *Remover
	confirmed bool
	before    time.Time // older than this
	known     map[store.Locator]struct{}
	uploads   map[store.Locator]bool // bytes that may be published still, however old

	walked, unnamed int64
	bytes           int64 // that were walked
	batch           []store.Locator
	found           map[store.Locator]struct{} // old and unnamed
	twice           []store.Locator            // of those, the ones that are known
	removed         int
}

// walk judges all blobs that are old enough.
func (p *sweepPass) walk(ctx context.Context) error {
	attend := func() func() { return waiting.Attend(p.remover.log, "walking blobs") }
	end := attend()
	err := p.remover.blobs.Walk(ctx, func(locator store.Locator, size int64, modified time.Time) error {
		end()
		defer func() { end = attend() }()
		p.walked++
		p.bytes += size
		if !modified.Before(p.before) || p.uploads[locator] {
			return nil
		}
		p.batch = append(p.batch, locator)
		if len(p.batch) < sweepBatch {
			return nil
		}
		return p.Judge(ctx)
	})
	end()
	if err != nil {
		return fmt.Errorf("walking blobs: %w", err)
	}
	return p.Judge(ctx)
}

// RemoveUnnamed deletes what nothing names, however new, from stores that nobody
// publishes to.
func (r *Remover) RemoveUnnamed(ctx context.Context) error {
	pass := &sweepPass{remover: r, confirmed: true, before: time.Unix(1<<40, 0)}
	return pass.walk(ctx)
}

// Judge finds which of a batch nothing names.
func (p *sweepPass) Judge(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	unnamed, err := p.remover.unnamed(ctx, p.batch)
	if err != nil {
		return fmt.Errorf("looking for unnamed blobs: %w", err)
	}
	p.batch = p.batch[:0]
	p.unnamed += int64(len(unnamed))
	if p.confirmed {
		return p.remove(ctx, unnamed)
	}
	for _, locator := range unnamed {
		if len(p.found) == sweepMemory {
			break
		}
		p.found[locator] = struct{}{}
		if _, known := p.known[locator]; known {
			p.twice = append(p.twice, locator)
		}
	}
	return nil
}

// end deletes what was found twice, unless it is unusually much.
func (p *sweepPass) end(ctx context.Context) error {
	r := p.remover
	if many := int64(len(p.twice)); many > max(Usual, p.walked/UsualShare) {
		if r.sweeper.withheld.Swap(p.unnamed) == 0 {
			r.log.Error("no file refers to unusually many blobs; none of them is deleted until an administrator confirms it",
				slog.Int64("unnamed", p.unnamed), slog.Int64("blobs", p.walked))
		}
		return nil
	}
	r.sweeper.withheld.Store(0)
	err := p.remove(ctx, p.twice)
	if p.removed > 0 {
		r.log.Info("deleted blobs that nothing names", slog.Int("deleted", p.removed), slog.Int64("blobs", p.walked))
	}
	return err
}

// remove deletes bytes, unless a backup reads some. No publish can name them any
// more: they are too old.
func (p *sweepPass) remove(ctx context.Context, locators []store.Locator) error {
	switch {
	case len(locators) == 0:
		return nil
	case p.remover.hold.begin():
	case p.confirmed:
		return fmt.Errorf("%w: a backup is being made, and nothing is deleted meanwhile", store.ErrUnavailable)
	default:
		return nil // the next sweep does
	}
	defer p.remover.hold.end()
	deleted, err := p.remover.remove(ctx, locators)
	p.removed += len(deleted)
	return err
}

// unnamed asks which of the locators nothing names.
func (r *Remover) unnamed(ctx context.Context, locators []store.Locator) ([]store.Locator, error) {
	defer waiting.Attend(r.log, "looking for unnamed blobs")()
	return r.metadata.Unnamed(ctx, locators)
}
