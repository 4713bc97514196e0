package integrity

import (
	"context"
	"log/slog"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Keeper keeps a registry's blobs what was published: it compares them with their
// digests, in the background and for those who ask, and deals with damage. All methods
// may run concurrently.
type Keeper struct {
	metadata store.MetadataStore
	blobs    store.BlobStore
	now      func() time.Time
	log      *slog.Logger

	scrub     scrubber
	damage    damage
	verifying *verifications
	alone     func(context.Context) (bool, error) // whether this process scrubs; nil when no other can
}

// NewKeeper returns a keeper of two open stores, which stay the caller's. The rate, in
// bytes per second, is that of SetScrub.
func NewKeeper(metadata store.MetadataStore, blobs store.BlobStore, now func() time.Time, log *slog.Logger, rate int64) *Keeper {
	k := &Keeper{metadata: metadata, blobs: blobs, now: now, log: log, verifying: newVerifications(verifyPlaces)}
	k.scrub.init(rate)
	return k
}

// ScrubAlone has the background scrub only while a function says so: another process with the
// same stores does it else. It is called before Run.
func (k *Keeper) ScrubAlone(alone func(context.Context) (bool, error)) { k.alone = alone }

// isForUs tells whether this process scrubs.
func (k *Keeper) isForUs(ctx context.Context) (bool, error) {
	if k.alone == nil {
		return true, nil
	}
	return k.alone(ctx)
}

// Run scrubs in the background until ctx ends.
func (k *Keeper) Run(ctx context.Context) { k.scrubbing(ctx) }

// ScrubHealth is how far the comparing of blobs with their digests came.
type ScrubHealth struct {
	// Scrub is the pass in progress, or the last one. Zero before the first.
	store.Scrub
	// Rate in bytes per second, 0 when off.
	Rate int64
	// Reading tells whether blobs are being read now.
	Reading bool
	// Fault is why the pass cannot go on now. Nil when it can.
	Fault error
	// TotalBlobs and TotalBytes were read since the registry was opened.
	TotalBlobs, TotalBytes int64
}

// Condition returns how far the scrub came and what is damaged, at once.
func (k *Keeper) Condition() (scrub ScrubHealth, damage DamageHealth) {
	damage = k.damage.health()
	s := &k.scrub
	scrub.TotalBlobs, scrub.TotalBytes = s.readBlobs.Load(), s.readBytes.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	scrub.Scrub, scrub.Rate, scrub.Reading, scrub.Fault = s.last, s.rate, s.reading, s.fault
	return scrub, damage
}
