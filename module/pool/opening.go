package pool

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// RetryInterval is when a registry that could not be opened is tried again the first
	// time. It is tried ever more seldom then, up to longestRetry.
	RetryInterval = 2 * time.Second
	longestRetry  = time.Minute
)

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
	decided atomic.Bool   // the start has given up, or gets err
}

// decide is true for its first caller only, who decides whether the start fails.
func (a *awaited) decide() bool { return a.decided.CompareAndSwap(false, true) }

// open opens the store, and tries again until it is open, or nobody uses it.
func (e *entry) open(ctx context.Context, o *opening) {
	defer close(o.ended)
	e.awaitPrevious(ctx)
	var told waiting.Lasting
	for interval := RetryInterval; ctx.Err() == nil; interval = min(interval*3/2, longestRetry) {
		returned, err := e.tryFor(ctx, o)
		if err == nil {
			if told != (waiting.Lasting{}) {
				e.log.logger().Info("the store is available again")
			}
			return
		}
		e.setFault(&waiting.Retried{Err: err, Interval: interval})
		if !returned && told.IsNews(err.Error()) {
			e.log.logger().Error("the store is not available; trying again", slog.Duration("in", interval), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-o.wake:
			interval = RetryInterval
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
		if tried.decide() && !store.IsState(err) {
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

// tryOpen opens both halves, with the settings of the configuration that started last.
func (e *entry) tryOpen(ctx context.Context) error {
	b := e.latest()
	if b == nil {
		return fmt.Errorf("%w: no configuration uses it", store.ErrUnavailable)
	}
	opened, err := b.Open(e.withProgress(ctx), registry.Options{Log: e.log.logger(), ScrubRate: b.ScrubRate})
	if err != nil {
		e.setFault(err)
		return err
	}
	e.tellOpened(ctx, b, opened.Metadata())
	e.mu.Lock()
	defer e.mu.Unlock()
	latest := b
	if len(e.configs) > 0 {
		latest = e.configs[len(e.configs)-1]
	}
	opened.KeepDrafts(latest.DraftTTL)
	opened.SetRules(latest.Rules)
	opened.SetHooks(latest.Hooks) // before anything is published
	e.state.Store(&state{registry: opened})
	if latest == b {
		return nil
	}
	if err := e.adjust(latest); err != nil {
		latest.Log.Error("changing the settings of the open store to those of a configuration that started meanwhile", zap.Error(err))
	}
	return nil
}

// tellOpened logs which registry was opened, and warns of a new one: its root may be a
// slip of the pen.
func (e *entry) tellOpened(ctx context.Context, b *Config, metadata store.MetadataStore) {
	position := metadata.Condition().Journal
	fields := []zap.Field{zap.String("root", b.Root), zap.String("id", metadata.ID()), zap.Uint64("position", position.Sequence)}
	if counting, ok := metadata.(store.Totaled); ok {
		totals, err := counting.Totals(ctx)
		if err != nil {
			fields = append(fields, zap.Error(err))
		} else {
			fields = append(fields, zap.Int64("owners", totals.Owners), zap.Int64("versions", totals.Versions), zap.Int64("bytes", totals.Bytes))
		}
	}
	b.Log.Info("opened the registry", fields...)
	if position.Sequence == 0 {
		b.Log.Warn("the registry is new, and nothing was ever published in it: check that its root is right", zap.String("root", b.Root))
	}
}

// withProgress has requests, health and the log hear how far the opening is: the log
// when it does something else, and once a minute.
func (e *entry) withProgress(ctx context.Context) context.Context {
	var told waiting.Lasting
	began := time.Now()
	return waiting.WithProgress(ctx, func(now waiting.Progress) {
		e.setFault(fmt.Errorf("%w: the registry is being opened: %s", store.ErrUnavailable, now))
		if told.IsNews(now.Doing) && time.Since(began) > RetryInterval {
			e.log.logger().Info("opening the store", slog.String("progress", now.String()))
		}
	})
}
