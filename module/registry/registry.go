package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/admission"
	"github.com/generic-registry/caddy-generic-registry/module/registry/dates"
	"github.com/generic-registry/caddy-generic-registry/module/registry/downloads"
	"github.com/generic-registry/caddy-generic-registry/module/registry/hashing"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/registry/nodes"
	"github.com/generic-registry/caddy-generic-registry/module/registry/reading"
	"github.com/generic-registry/caddy-generic-registry/module/registry/removal"
	"github.com/generic-registry/caddy-generic-registry/module/registry/tokens"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// Registry publishes, reads and deletes files over a pair of stores, and removes
// bytes that nothing refers to any more. All methods may run concurrently.
type Registry struct {
	*integrity.Keeper // of the blobs' bytes
	*reading.Finder   // of files
	*hashing.Hasher   // of the blobs' other hashes
	*removal.Remover  // of bytes that no file has
	*tokens.Keyring   // of those who publish by a token
	*downloads.Counter
	*webhook.Deliverer
	*nodes.Nodes // that share the stores

	metadata store.MetadataStore
	blobs    store.BlobStore
	now      func() time.Time // of this machine
	age      func() time.Time // of the metadata store
	turns    store.Turns      // nil when no other process can go on with an upload
	taker    remote.Taker     // with turns
	log      *slog.Logger

	buffers    *transfer.BufferPool // of uploads
	slots      admission.Slots
	quotas     *admission.Quotas
	uploads    uploads
	draftTTL   atomic.Int64
	stop       context.CancelFunc
	background sync.WaitGroup

	dates dates.Dates // of what was just published

	published published
}

// Options tune a Registry. The zero value is what production uses, except that
// it logs nothing.
type Options struct {
	// Log receives what happens in the background. Nil discards it.
	Log *slog.Logger
	// Now is the clock of publish times, and of the ages of bytes. Nil is time.Now for the
	// times, and the clock of the metadata store for the ages: a process with a clock of its own
	// must not take the bytes of others for old.
	Now func() time.Time
	// Node names this process among those that have the stores open, and its next one after
	// it. Empty where no other can have them open.
	Node string
	// SweepInterval is the time between two sweeps; the first begins at once.
	// Zero is one hour.
	SweepInterval time.Duration
	// Idle leaves the background work out: nothing is deleted, and nothing that a
	// running server would do by itself is done.
	Idle bool
	// ScrubRate is how many bytes a second are read to compare every blob with its
	// digest. Zero is DefaultScrubRate; below zero none are.
	ScrubRate int64
}

const (
	defaultSweepInterval = time.Hour
	// damageInterval is how often the damage is counted that other processes find.
	damageInterval = 15 * time.Second
	// positionInterval is how often each process that shares the metadata looks whether it is
	// older than the blobs.
	positionInterval = 30 * time.Second
	// scrubLease is after how long without a word another process goes on with the scrub.
	scrubLease        = 10 * time.Minute
	reapRetryInterval = 10 * time.Second
)

// New returns a registry over two open stores, which it owns from now on, and
// starts its background work.
func New(metadata store.MetadataStore, blobs store.BlobStore, options Options) *Registry {
	ctx, stop := context.WithCancel(context.Background())
	r := &Registry{
		metadata: metadata,
		blobs:    blobs,
		now:      options.Now,
		age:      options.Now,
		log:      options.Log,
		buffers:  transfer.UploadBuffers,
		uploads:  uploads{loading: make(chan struct{}, 1)},
		stop:     stop,
	}
	if r.now == nil {
		r.now, r.age = time.Now, metadata.Clock
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.turns, _ = metadata.(store.Turns); r.turns != nil {
		if r.taker, _ = blobs.(remote.Taker); r.taker == nil {
			r.turns = nil
		}
	}
	if streaming, ok := blobs.(remote.Streaming); ok && streaming.IsStreaming() {
		r.buffers = transfer.StreamBuffers
	}
	r.quotas = admission.NewQuotas(metadata, r.loadUploads)
	r.Keeper = integrity.NewKeeper(metadata, blobs, r.now, r.log, options.ScrubRate)
	r.Finder = reading.NewFinder(metadata, blobs, r.Keeper)
	r.Hasher = hashing.New(metadata, blobs, r.Keeper)
	r.Keyring = tokens.NewKeyring(metadata, r.now, r.log)
	r.Counter = downloads.New(metadata, r.now)
	r.Remover = removal.New(metadata, blobs, r.age, r.log, r.RecountDamage)
	r.Nodes = nodes.New(metadata, options.Node, r.log)
	r.ScrubAlone(func(ctx context.Context) (bool, error) { return r.Has(ctx, "scrub", scrubLease) })
	r.Deliverer = webhook.New(ctx, metadata, r.Duty("webhooks"), r.log)
	if options.Idle {
		return r
	}
	// Not known to be behind, it can be used.
	if err := r.Remover.Start(ctx); err != nil {
		r.log.Warn("opening", slog.Any("error", err))
	}
	// Their bytes count against quotas from the beginning. If they cannot be read now,
	// the first one who needs them tries again.
	if err := r.loadUploads(ctx); err != nil {
		r.log.Warn("opening", slog.Any("error", err))
	}
	r.startBackground(ctx, options.SweepInterval)
	return r
}

func (r *Registry) startBackground(ctx context.Context, sweepInterval time.Duration) {
	if sweepInterval <= 0 {
		sweepInterval = defaultSweepInterval
	}
	reap := r.Alone("reap", 3*reapRetryInterval, r.Reap)
	sweep := r.Alone("sweep", 2*sweepInterval, r.Sweep) // what is seen twice is seen by one node
	reaped, once := make(chan struct{}), sync.Once{}
	r.background.Go(func() {
		r.repeat(ctx, "reaping condemned blobs", reapRetryInterval, r.ReapDue(), func(ctx context.Context) (int, error) {
			defer once.Do(func() { close(reaped) })
			return reap(ctx)
		})
	})
	r.background.Go(func() { r.repeat(ctx, "sweeping unnamed blobs", sweepInterval, nil, sweep) })
	r.background.Go(func() { r.repeat(ctx, "ending expired uploads", expireInterval, nil, r.EndExpired) })
	r.background.Go(func() { r.repeat(ctx, "storing the last uses of tokens", tokens.UseInterval, nil, r.StoreUses) })
	r.background.Go(func() { r.repeat(ctx, "counting downloads", downloads.Interval, nil, r.StoreDownloads) })
	r.background.Go(func() { r.repeat(ctx, "ending old drafts", draftInterval, nil, r.EndDrafts) })
	r.background.Go(func() { r.repeat(ctx, "meeting other nodes", nodes.Interval, r.MeetingDue(), r.Meet) })
	if shared, ok := r.metadata.(store.Shared); ok {
		r.background.Go(func() {
			r.repeat(ctx, "keeping the position of the metadata", positionInterval, shared.Reconnected(), r.FindBehind)
		})
		r.background.Go(func() { r.repeat(ctx, "counting damaged blobs", damageInterval, nil, r.CountDamage) })
	}
	r.background.Go(func() { r.Hasher.Run(ctx) })
	r.background.Go(func() {
		// After a replay that was cut, the database names blobs of deleted versions until they
		// are reaped. Their bytes may be gone already, and that is no damage.
		select {
		case <-reaped:
			r.Keeper.Run(ctx)
		case <-ctx.Done():
		}
	})
	r.background.Go(func() { r.Deliverer.Run(ctx) })
}

// repeat runs work at once, then at each interval and each wake-up, until ctx
// ends. Its errors are logged and tried again soon.
func (r *Registry) repeat(ctx context.Context, what string, interval time.Duration, wake <-chan struct{}, work func(context.Context) (int, error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		done, err := work(ctx)
		next := interval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			next = min(interval, reapRetryInterval)
			level := slog.LevelError
			if errors.Is(err, store.ErrUnavailable) {
				level = slog.LevelWarn // which the store has logged
			}
			r.log.Log(ctx, level, what, slog.Int("done", done), slog.Any("error", err))
		case done > 0:
			r.log.Debug(what, slog.Int("done", done))
		}
		ticker.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-wake:
		}
	}
}

// Metadata is the store of the registry's names. It stays the registry's.
func (r *Registry) Metadata() store.MetadataStore { return r.metadata }

// Blobs is the store of the registry's bytes. It stays the registry's.
func (r *Registry) Blobs() store.BlobStore { return r.blobs }

// Now is the registry's clock.
func (r *Registry) Now() time.Time { return r.now() }

// Close stops the background work and closes both stores. No other method may be
// running or be called afterwards.
func (r *Registry) Close() error {
	r.stop()
	r.background.Wait()
	if err := r.KeepPosition(context.Background(), false); err != nil && r.IsBehind() == nil {
		r.log.Warn("closing", slog.Any("error", err))
	}
	return errors.Join(r.storeLast(), r.blobs.Close(), r.metadata.Close())
}

// closeTimeout bounds what Close still stores.
const closeTimeout = 5 * time.Second

// storeLast stores what was gathered of uses and downloads.
func (r *Registry) storeLast() error {
	var problems []error
	for _, storing := range []func(context.Context) (int, error){r.StoreUses, r.StoreDownloads} {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		_, err := storing(ctx)
		cancel()
		if !errors.Is(err, store.ErrUnavailable) { // such a store cannot take this change either
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}
