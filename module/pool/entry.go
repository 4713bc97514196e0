package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// entry is one store of the pool: not open yet, open, or waiting in a state fault. One
// goroutine opens it, however long that takes, and tries again as long as it must; all
// others see how far that is and wait for nothing but the time they have.
type entry struct {
	key      Key
	users    int             // guarded by Pool.mu
	previous <-chan struct{} // closed when the store that had the key before is; may be nil
	closed   chan struct{}   // closed when this one is
	ready    chan struct{}   // closed when opening was first tried, or is not waited for any more
	readied  sync.Once
	log      liveLog

	state atomic.Pointer[state]
	named atomic.Pointer[string] // the root, as the latest configuration has it

	mu      sync.Mutex // guards all below; nobody holds it while a store is opened
	configs []*Config  // in the order in which they started
	opening *opening   // nil before the first start
}

// state is what requests see of an entry: a registry, or why there is none.
type state struct {
	registry *registry.Registry
	fault    error
}

func newEntry(key Key, previous <-chan struct{}) *entry {
	return &entry{key: key, previous: previous, closed: make(chan struct{}), ready: make(chan struct{})}
}

// start has the store opened for a configuration, or gives the open one that
// configuration's settings. The error is a configuration fault. A state fault is not an
// error, nor is an opening that takes longer than ctx: both go on in the background.
func (e *entry) start(ctx context.Context, b *Config) error {
	tried, err := e.begin(b)
	// Requests need not wait for what the start did not wait for.
	defer e.readied.Do(func() { close(e.ready) })
	if err != nil {
		return err
	}
	select {
	case <-tried.done:
	case <-ctx.Done():
		if tried.decide() {
			b.Log.Warn("opening the store takes long and goes on in the background; requests get 503 until the store is open", zap.String("root", b.Root))
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
func (e *entry) begin(b *Config) (*awaited, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.configs = append(e.configs, b)
	e.adopt(b)
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

// setFault has requests see why the store is not open.
func (e *entry) setFault(fault error) { e.state.Store(&state{fault: fault}) }

// root is the root that the registry is known by.
func (e *entry) root() string {
	if root := e.named.Load(); root != nil {
		return *root
	}
	return ""
}

func (e *entry) isOpen() bool {
	current := e.state.Load()
	return current != nil && current.registry != nil
}

// health is how the registry is, or why it is not open. It waits for nothing.
func (e *entry) health() (registry.Health, error) {
	current := e.state.Load()
	switch {
	case current == nil:
		return registry.Health{}, errOpening
	case current.registry == nil:
		return registry.Health{}, current.fault
	}
	return current.registry.Health(), nil
}

// errOpening: the registry is being opened, and nothing is known yet.
var errOpening = errors.New("the registry is being opened")

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
