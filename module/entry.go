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
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// A store in a state fault is tried again after the first interval, and then ever
	// more seldom, up to the longest.
	stateRetryInterval = 2 * time.Second
	longestRetry       = time.Minute

	// closeWait bounds how long closing a store is waited for. It goes on behind.
	closeWait = 30 * time.Second
)

// entry is one store of the pool: not open yet, open, or waiting in a state fault. One
// goroutine opens it, however long that takes, and tries again as long as it must; all
// others see how far that is and wait for nothing but the time they have.
type entry struct {
	key      storeKey
	users    int             // guarded by pool.mu
	previous <-chan struct{} // closed when the store that had the key before is; may be nil
	closed   chan struct{}   // closed when this one is
	ready    chan struct{}   // closed when opening was first tried, or is not waited for any more
	readied  sync.Once
	log      liveLog

	state atomic.Pointer[state]
	named atomic.Pointer[string] // the root, as the latest configuration has it

	mu      sync.Mutex  // guards all below; nobody holds it while a store is opened
	configs []*backends // in the order in which they started
	stores  openStores
	opening *opening // nil before the first start
}

// opening is the work of the goroutine that opens a store.
type opening struct {
	stop    context.CancelFunc
	wake    chan struct{} // another configuration has started
	waiting []*awaited    // by the next try; guarded by entry.mu
	ended   chan struct{} // closed when it is over
}

// awaited is a try to open a store that a start waits for.
type awaited struct {
	done    chan struct{} // closed after the try
	err     error         // of the try; read after done
	settled atomic.Bool   // the start has given up, or gets err
}

// settle tells whether the caller decides what becomes of the start: the first one does.
func (a *awaited) settle() bool { return a.settled.CompareAndSwap(false, true) }

// state is what requests see of an entry: a registry, or why there is none.
type state struct {
	registry *registry.Registry
	fault    error
}

// backends are one configuration's modules for a store.
type backends struct {
	root      string
	metadata  store.MetadataBackend
	blobs     store.BlobBackend
	scrubRate int64        // as in registry.Options
	log       *zap.Logger  // for what becomes of the store here
	storeLog  *slog.Logger // for the store itself, which knows no zap
	audit     *zap.Logger  // may be nil

	// takesTokens says that a site of the configuration accepts tokens of the root.
	takesTokens bool
}

type openStores struct {
	metadata store.MetadataStore
	blobs    store.BlobStore
}

func newEntry(key storeKey, previous <-chan struct{}) *entry {
	return &entry{key: key, previous: previous, closed: make(chan struct{}), ready: make(chan struct{})}
}

// start has the store opened for a configuration, or gives the open one that
// configuration's settings. The error is a configuration fault. A state fault is not an
// error, nor is an opening that takes longer than ctx: both go on in the background.
func (e *entry) start(ctx context.Context, b *backends) error {
	tried, err := e.begin(b)
	// Requests need not wait for what the start did not wait for.
	defer e.readied.Do(func() { close(e.ready) })
	if err != nil {
		return err
	}
	select {
	case <-tried.done:
	case <-ctx.Done():
		if tried.settle() {
			b.log.Warn("opening the store takes long, and goes on in the background; requests get 503 until it ends", zap.String("root", b.root))
			return nil
		}
		<-tried.done
	}
	if store.IsState(tried.err) {
		return nil
	}
	return tried.err
}

// begin adds a configuration, has the store opened if it is not, and returns the try that
// does. One that is open gets the settings.
func (e *entry) begin(b *backends) (*awaited, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.configs = append(e.configs, b)
	e.use(b)
	tried := &awaited{done: make(chan struct{})}
	if e.isOpen() {
		close(tried.done)
		return tried, e.adjust(b)
	}
	if e.opening == nil {
		ctx, stop := context.WithCancel(context.Background())
		e.opening = &opening{stop: stop, wake: make(chan struct{}, 1), ended: make(chan struct{})}
		go e.open(ctx, e.opening)
	}
	e.opening.waiting = append(e.opening.waiting, tried)
	select {
	case e.opening.wake <- struct{}{}:
	default:
	}
	return tried, nil
}

// open opens the store, and tries again until it is open, or nobody uses it.
func (e *entry) open(ctx context.Context, o *opening) {
	defer close(o.ended)
	e.awaitPrevious(ctx)
	var told store.Lasting
	for interval := stateRetryInterval; ctx.Err() == nil; interval = min(interval*3/2, longestRetry) {
		returned, err := e.tryFor(ctx, o)
		if err == nil {
			if told != (store.Lasting{}) {
				e.log.logger().Info("the store is available again")
			}
			return
		}
		e.setFault(&retried{err, interval})
		if !returned && told.IsNews(err.Error()) {
			e.log.logger().Error("the store is not available; trying again", slog.Duration("in", interval), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-o.wake:
			interval = stateRetryInterval
		case <-time.After(interval):
		}
	}
}

// tryFor is tryOpen, and tells those who wait for a try. It returns whether a start fails
// with the error, and so need not be logged.
func (e *entry) tryFor(ctx context.Context, o *opening) (returned bool, err error) {
	e.mu.Lock()
	select {
	case <-o.wake:
	default:
	}
	waiting := o.waiting
	o.waiting = nil
	e.mu.Unlock()
	err = e.tryOpen(ctx)
	if err == nil {
		// No other try follows for those who came meanwhile. Who comes now sees it open.
		e.mu.Lock()
		waiting = append(waiting, o.waiting...)
		o.waiting = nil
		e.mu.Unlock()
	}
	for _, tried := range waiting {
		tried.err = err
		if tried.settle() && !store.IsState(err) {
			returned = true
		}
		close(tried.done)
	}
	return returned, err
}

// awaitPrevious waits until the store that had the key before is closed.
func (e *entry) awaitPrevious(ctx context.Context) {
	if e.previous == nil {
		return
	}
	select {
	case <-e.previous:
		return
	default:
	}
	e.setFault(fmt.Errorf("%w: waiting for an earlier configuration to close it", store.ErrUnavailable))
	select {
	case <-e.previous:
	case <-ctx.Done():
	}
}

// setFault has requests see why the store is not open.
func (e *entry) setFault(fault error) { e.state.Store(&state{fault: fault}) }

// retried is a fault of a store that is tried again at an interval.
type retried struct {
	error
	interval time.Duration
}

func (r *retried) Unwrap() error { return r.error }

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

// tryOpen opens both halves, with the settings of the configuration that started last.
func (e *entry) tryOpen(ctx context.Context) error {
	b := e.latest()
	if b == nil {
		return fmt.Errorf("%w: no configuration uses it", store.ErrUnavailable)
	}
	stores, err := b.open(e.withProgress(ctx), e.log.logger())
	if err != nil {
		e.setFault(err)
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stores = stores
	opened := registry.New(stores.metadata, stores.blobs, registry.Options{Log: e.log.logger(), ScrubRate: b.scrubRate})
	e.tellOpened(ctx, b, stores.metadata)
	e.state.Store(&state{registry: opened})
	if len(e.configs) == 0 || e.configs[len(e.configs)-1] == b {
		return nil
	}
	latest := e.configs[len(e.configs)-1] // it started meanwhile
	if err := e.adjust(latest); err != nil {
		latest.log.Error("giving the open store the settings of a configuration that started meanwhile", zap.Error(err))
	}
	return nil
}

// tellOpened logs which registry was opened, and warns of a new one: its root may be a
// slip of the pen.
func (e *entry) tellOpened(ctx context.Context, b *backends, metadata store.MetadataStore) {
	position := metadata.Condition().Journal
	fields := []zap.Field{zap.String("root", b.root), zap.String("id", metadata.ID()), zap.Uint64("position", position.Sequence)}
	if counting, ok := metadata.(store.Totaled); ok {
		totals, err := counting.Totals(ctx)
		if err != nil {
			fields = append(fields, zap.Error(err))
		} else {
			fields = append(fields, zap.Int64("owners", totals.Owners), zap.Int64("versions", totals.Versions), zap.Int64("bytes", totals.Bytes))
		}
	}
	b.log.Info("opened the registry", fields...)
	if position.Sequence == 0 {
		b.log.Warn("the registry is new: nothing was ever published in it; is its root right?", zap.String("root", b.root))
	}
}

func (e *entry) latest() *backends {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.configs) == 0 {
		return nil
	}
	return e.configs[len(e.configs)-1]
}

// withProgress has requests, health and the log hear how far the opening is: the log
// when it does something else, and once a minute.
func (e *entry) withProgress(ctx context.Context) context.Context {
	var told store.Lasting
	began := time.Now()
	return store.WithProgress(ctx, func(text string) {
		e.setFault(fmt.Errorf("%w: the registry is being opened: %s", store.ErrUnavailable, text))
		step, _, _ := strings.Cut(text, ":")
		if told.IsNews(step) && time.Since(began) > stateRetryInterval {
			e.log.logger().Info("opening the store", slog.String("progress", text))
		}
	})
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
	if _, err := os.Stat(filepath.Join(b.root, backup.RestoreMark)); err != nil {
		return nil
	}
	places := b.root
	for _, place := range []string{b.metadata.Identity(b.root), b.blobs.Identity(b.root)} {
		if !strings.HasPrefix(place, b.root+string(filepath.Separator)) {
			places += " and in " + place
		}
	}
	return fmt.Errorf("%s has %w, which was interrupted or failed: delete what is in %s, and restore again", b.root, store.ErrHalfRestored, places)
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
	if adjuster, ok := b.metadata.(store.MetadataAdjuster); ok {
		errs = append(errs, adjuster.AdjustMetadata(e.stores.metadata))
	}
	if adjuster, ok := b.blobs.(store.BlobAdjuster); ok {
		errs = append(errs, adjuster.AdjustBlobs(e.stores.blobs))
	}
	return errors.Join(errs...)
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

// wait returns the registry once opening was tried, or why there is none: ErrNoSpace or
// ErrUnavailable. It waits no longer than limit, and not at all once a start has ended.
func (e *entry) wait(ctx context.Context, limit time.Duration) (*registry.Registry, error) {
	select {
	case <-e.ready:
	default:
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for it to open: %w", store.ErrUnavailable, ctx.Err())
		}
	}
	current := e.state.Load()
	switch {
	case current == nil:
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, errOpening)
	case current.registry == nil && !errors.Is(current.fault, store.ErrNoSpace):
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, current.fault)
	}
	return current.registry, current.fault
}

// close closes the store, and waits for that as long as it may take. Nobody uses the
// entry any more. What hangs is left behind: whoever has the key next waits for it.
func (e *entry) close() {
	go func() {
		defer close(e.closed)
		e.closeStores()
	}()
	timeout := time.NewTimer(closeWait)
	defer timeout.Stop()
	select {
	case <-e.closed:
	case <-timeout.C:
		e.log.logger().Error("closing the store takes long; it is not waited for any more", slog.String("root", e.root()), slog.Duration("after", closeWait))
	}
}

func (e *entry) closeStores() {
	if e.opening != nil {
		e.opening.stop()
		<-e.opening.ended
	}
	if !e.isOpen() {
		return
	}
	if err := e.state.Load().registry.Close(); err != nil {
		e.log.logger().Error("closing store", slog.Any("error", err))
	}
}
