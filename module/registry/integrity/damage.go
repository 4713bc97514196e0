package integrity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Damage is a blob that is not what was published.
type Damage struct {
	Kind store.DamageKind
	store.Blob
	// Found is what is there instead, for administrators. Empty for nothing.
	Found string
}

// isWrong tells whether there are bytes, and not those that were published.
func (d Damage) isWrong() bool { return d.Kind == store.DamageSize || d.Kind == store.DamageDigest }

// DamageHealth is what is known to be damaged.
type DamageHealth struct {
	// Count of damaged blobs.
	Count int64
	// Digests of the first 100 of them, in order.
	Digests []store.Digest
}

const healthDigests = 100

// damage is what the metadata knows, as of the last look at it. All methods may run
// concurrently.
type damage struct {
	looking sync.Mutex // whoever changed something looks after the change, one at a time
	known   atomic.Pointer[DamageHealth]
}

func (d *damage) health() DamageHealth {
	if known := d.known.Load(); known != nil {
		return *known
	}
	return DamageHealth{}
}

// lookAtDamage learns what the metadata knows to be damaged.
func (k *Keeper) lookAtDamage(ctx context.Context) error {
	k.damage.looking.Lock()
	defer k.damage.looking.Unlock()
	end := waiting.Attend(k.log, "counting damaged blobs")
	count, digests, err := k.metadata.Damaged(ctx, healthDigests)
	end()
	if err != nil {
		return fmt.Errorf("counting damaged blobs: %w", err)
	}
	k.damage.known.Store(&DamageHealth{Count: count, Digests: digests})
	return nil
}

// CountDamage learns how many blobs are damaged, and returns it. Other processes find damage too.
func (k *Keeper) CountDamage(ctx context.Context) (damaged int, err error) {
	err = k.lookAtDamage(ctx)
	return int(k.damage.health().Count), err
}

// RecountDamage looks at what is damaged again, if something is: files were published or
// deleted.
func (k *Keeper) RecountDamage(ctx context.Context) {
	before := k.damage.health()
	if before.Count == 0 {
		return
	}
	if err := k.lookAtDamage(ctx); err != nil {
		return // it is looked at again in the scrub's next turn
	}
	if after := k.damage.health(); after.Count < before.Count {
		k.log.Info("damaged blobs were replaced or deleted", slog.Int64("blobs", before.Count-after.Count), slog.Int64("left", after.Count))
	}
}

// Report deals with a blob that seems to be damaged: it may have been deleted, or replaced,
// since it was looked up. If it is damaged, the metadata knows it from now on, and wrong
// bytes are put aside, so that nobody gets them. Where the metadata takes no change, the
// damage is told each time that it is found.
func (k *Keeper) Report(ctx context.Context, d Damage) (damaged bool, err error) {
	news, err := k.metadata.MarkDamage(ctx, d.Blob, d.Kind)
	switch {
	case errors.Is(err, store.ErrBlobNotFound):
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return k.reportUnmarked(ctx, d, err)
	}
	var aside []slog.Attr
	var quarantineErr error
	if d.isWrong() {
		quarantineErr = k.blobs.Quarantine(ctx, d.Locator)
		aside = append(aside, slog.Bool("quarantined", quarantineErr == nil))
	}
	if quarantineErr != nil {
		aside = append(aside, slog.Any("error", quarantineErr))
	}
	if news || quarantineErr != nil {
		k.logDamage(ctx, d, aside...)
	}
	if !news {
		return true, nil
	}
	return true, k.lookAtDamage(ctx)
}

// reportUnmarked deals with damage that the metadata does not take note of now. If it is sure
// that these are the blob's bytes, they are damaged, and stay where they are.
func (k *Keeper) reportUnmarked(ctx context.Context, d Damage, why error) (damaged bool, err error) {
	known, err := k.metadata.FindBlob(ctx, d.Digest)
	if errors.Is(err, store.ErrBlobNotFound) || err == nil && known.Locator != d.Locator {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for blob again: %w", err)
	}
	k.logDamage(ctx, d, slog.Any("error", why))
	return true, nil
}

func (k *Keeper) logDamage(ctx context.Context, d Damage, more ...slog.Attr) {
	attrs := []slog.Attr{
		slog.String("damage", string(d.Kind)), slog.String("digest", d.Digest.String()),
		slog.String("locator", string(d.Locator)), slog.Int64("size", d.Size), slog.String("found", d.Found),
	}
	k.log.LogAttrs(ctx, slog.LevelError, "blob is damaged", append(attrs, more...)...)
}

// NoteDamage deals with what a reader ran into. What cannot be judged now is left
// to the scrub.
func (k *Keeper) NoteDamage(ctx context.Context, blob store.Blob, err error) {
	if ctx.Err() != nil {
		return
	}
	// Whether the client stays does not matter to the blob, which may be put aside.
	ctx, cancel := waiting.Committing(ctx, blob.Size)
	defer cancel()
	damage, err := k.Judge(ctx, blob, err)
	if err == nil {
		_, err = k.Report(ctx, damage)
	}
	if err != nil {
		k.log.Warn("checking a blob that cannot be read", slog.String("digest", blob.Digest.String()), slog.Any("error", err))
	}
}

// noteGood says that a blob was read and is what was published.
func (k *Keeper) noteGood(ctx context.Context, blob store.Blob) {
	if blob.Damage == "" {
		return
	}
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	news, err := k.metadata.MarkDamage(ctx, blob, "")
	if err != nil || !news {
		return
	}
	k.log.Info("damaged blob is good again", slog.String("digest", blob.Digest.String()))
	_ = k.lookAtDamage(ctx) // else in the scrub's next turn
}
