package module

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// stateRetryInterval is how often a store in a state fault is tried again.
const stateRetryInterval = 2 * time.Second

// entry is one store of the pool: not open yet, open, or waiting in a state fault.
type entry struct {
	key      storeKey
	users    int             // guarded by pool.mu
	previous <-chan struct{} // closed when the store that had the key before is; may be nil
	closed   chan struct{}   // closed when this one is
	ready    chan struct{}   // closed when opening was first tried
	log      liveLog

	state atomic.Pointer[state]
	named atomic.Pointer[string] // the root, as the latest configuration has it

	mu       sync.Mutex  // one opening at a time; guards all below
	configs  []*backends // in the order in which they started
	stores   openStores
	stop     context.CancelFunc
	retrying sync.WaitGroup
}

// state is what requests see of an entry: a registry, or why there is none.
type state struct {
	registry *registry.Registry
	fault    error
}

// backends are one configuration's modules for a store.
type backends struct {
	root      string
	metadata  registry.MetadataBackend
	blobs     registry.BlobBackend
	scrubRate int64        // as in registry.Options
	log       *zap.Logger  // for what becomes of the store here
	storeLog  *slog.Logger // for the store itself, which knows no zap

	// takesTokens says that a site of the configuration accepts tokens of the root.
	takesTokens bool
}

type openStores struct {
	metadata registry.MetadataStore
	blobs    registry.BlobStore
}

func newEntry(key storeKey, previous <-chan struct{}) *entry {
	return &entry{key: key, previous: previous, closed: make(chan struct{}), ready: make(chan struct{})}
}

// start opens the store for a configuration, or gives the open one that
// configuration's settings. The error is a configuration fault; a state fault
// leaves the entry trying again, and is not an error.
func (e *entry) start(ctx context.Context, b *backends) error {
	if e.previous != nil {
		select {
		case <-e.previous:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the store to close: %w", ctx.Err())
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.configs = append(e.configs, b)
	e.use(b)
	if e.isOpen() {
		return e.adjust(b)
	}
	err := e.tryOpen(ctx, b)
	if err != nil && registry.IsState(err) {
		b.log.Error("store is not available; trying again", zap.Duration("every", stateRetryInterval), zap.Error(err))
		e.retryLater()
		return nil
	}
	return err
}

// use gives the entry the log and the name of a configuration. Requires e.mu.
func (e *entry) use(b *backends) {
	e.log.set(b.storeLog)
	e.named.Store(&b.root)
}

// root is the root that the registry is known by.
func (e *entry) root() string {
	if root := e.named.Load(); root != nil {
		return *root
	}
	return ""
}

// tryOpen opens both halves. Requires e.mu.
func (e *entry) tryOpen(ctx context.Context, b *backends) error {
	var opened *registry.Registry
	opening, err := b.open(ctx, e.log.logger())
	if err == nil {
		e.stores = opening
		opened = registry.New(opening.metadata, opening.blobs, registry.Options{Log: e.log.logger(), ScrubRate: b.scrubRate})
	}
	if e.state.Swap(&state{registry: opened, fault: err}) == nil {
		close(e.ready)
	}
	return err
}

// takesTokens tells whether a site of a configuration accepts tokens of the registry.
func (e *entry) takesTokens() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.configs, func(b *backends) bool { return b.takesTokens })
}

func (e *entry) isOpen() bool {
	current := e.state.Load()
	return current != nil && current.registry != nil
}

func (b *backends) open(ctx context.Context, log *slog.Logger) (openStores, error) {
	if err := b.notHalf(); err != nil {
		return openStores{}, err
	}
	opened, err := b.openBoth(ctx, log)
	return opened, orPermission(err)
}

// notHalf reports half a restore. It makes nothing.
func (b *backends) notHalf() error {
	if _, err := os.Stat(filepath.Join(b.root, registry.RestoreMark)); err != nil {
		return nil
	}
	places := b.root
	for _, place := range []string{b.metadata.Identity(b.root), b.blobs.Identity(b.root)} {
		if !strings.HasPrefix(place, b.root+string(filepath.Separator)) {
			places += " and in " + place
		}
	}
	return fmt.Errorf("%s has half a restore, which was interrupted or failed: delete what is in %s, and restore again", b.root, places)
}

func (b *backends) openBoth(ctx context.Context, log *slog.Logger) (openStores, error) {
	metadata, err := b.metadata.OpenMetadata(ctx, b.root, log)
	if err != nil {
		return openStores{}, fmt.Errorf("opening metadata: %w", err)
	}
	blobs, err := b.blobs.OpenBlobs(ctx, b.root, log)
	if err != nil {
		return openStores{}, errors.Join(fmt.Errorf("opening blobs: %w", err), metadata.Close())
	}
	if err := blobs.Bind(ctx, metadata.ID()); err != nil {
		return openStores{}, errors.Join(fmt.Errorf("binding blobs to metadata: %w", err), blobs.Close(), metadata.Close())
	}
	return openStores{metadata: metadata, blobs: blobs}, nil
}

// adjust gives a configuration's settings to the open store. Requires e.mu and that
// it is open.
func (e *entry) adjust(b *backends) error {
	e.state.Load().registry.SetScrub(b.scrubRate)
	var errs []error
	if adjuster, ok := b.metadata.(registry.MetadataAdjuster); ok {
		errs = append(errs, adjuster.AdjustMetadata(e.stores.metadata))
	}
	if adjuster, ok := b.blobs.(registry.BlobAdjuster); ok {
		errs = append(errs, adjuster.AdjustBlobs(e.stores.blobs))
	}
	return errors.Join(errs...)
}

// retryLater tries to open at intervals, with the settings of the configuration
// that started last. Requires e.mu.
func (e *entry) retryLater() {
	if e.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.retrying.Go(func() {
		ticker := time.NewTicker(stateRetryInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if e.retry(ctx) {
				return
			}
		}
	})
}

// retry reports whether the store is open now.
func (e *entry) retry(ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isOpen() {
		return true
	}
	if len(e.configs) == 0 {
		return false
	}
	b := e.configs[len(e.configs)-1]
	if err := e.tryOpen(ctx, b); err != nil {
		b.log.Warn("store is still not available", zap.Error(err))
		return false
	}
	b.log.Info("store is available again")
	return true
}

// retire takes a configuration's settings away: after a reload that failed later
// on, those of the configuration that serves on count again.
func (e *entry) retire(b *backends) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.configs, b)
	if i < 0 {
		return
	}
	last := i == len(e.configs)-1
	e.configs = slices.Delete(e.configs, i, i+1)
	if !last || len(e.configs) == 0 {
		return
	}
	current := e.configs[len(e.configs)-1]
	e.use(current)
	if !e.isOpen() {
		return
	}
	if err := e.adjust(current); err != nil {
		current.log.Error("restoring the store's settings", zap.Error(err))
	}
}

// wait returns the registry once opening was tried, or why there is none. It
// waits no longer than limit.
func (e *entry) wait(ctx context.Context, limit time.Duration) (*registry.Registry, error) {
	select {
	case <-e.ready:
	default:
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for it to open: %w", registry.ErrUnavailable, ctx.Err())
		}
	}
	current := e.state.Load()
	return current.registry, current.fault
}

// close closes the store. Nobody uses the entry any more.
func (e *entry) close() {
	defer close(e.closed)
	if e.stop != nil {
		e.stop()
		e.retrying.Wait()
	}
	if !e.isOpen() {
		return
	}
	if err := e.state.Load().registry.Close(); err != nil {
		e.log.logger().Error("closing store", slog.Any("error", err))
	}
}
