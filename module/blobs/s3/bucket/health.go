package bucket

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// pingInterval is how often a server is asked of which nothing was heard.
	pingInterval = 30 * time.Second
	// recoverInterval is how often a server is asked that did not answer.
	recoverInterval = 2 * time.Second
)

// health is how the server is, by its last answers. The zero value has heard nothing.
type health struct {
	mu    sync.Mutex
	wrong error
	heard time.Time // when the server last answered
}

// note says how a request ended.
func (h *health) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case errors.Is(err, errStopped), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, store.ErrUnavailable) && !isDecision(err):
		h.wrong = err
	default:
		h.wrong, h.heard = nil, time.Now()
	}
}

func (h *health) fault() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrong
}

// isDue tells whether the server is to be asked.
func (h *health) isDue() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrong != nil || time.Since(h.heard) >= pingInterval
}

// Fault is why the server is not as it should be, by what the last requests met.
func (b *Bucket) Fault() error { return b.health.fault() }

// Ping asks the server while nobody else does, in the background, until the bucket is closed.
// The mark must be there.
func (b *Bucket) Ping() {
	b.Background(func(ctx context.Context) {
		ticker := time.NewTicker(recoverInterval)
		defer ticker.Stop()
		var told waiting.Lasting
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if b.health.isDue() {
				b.ask(ctx, &told)
			}
		}
	})
}

// ask asks the server for anything, and tells what comes of it.
func (b *Bucket) ask(ctx context.Context, told *waiting.Lasting) {
	_, err := b.isListed(ctx, b.mark)
	switch {
	case err == nil && *told != (waiting.Lasting{}):
		b.log.Info("the S3 server answers again")
		*told = waiting.Lasting{}
	case err != nil && ctx.Err() == nil && told.IsNews(err.Error()):
		b.log.Error("the S3 server does not do as it should", "error", err)
	}
}
