package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// pingInterval is how often a server is asked for the mark.
	pingInterval = 30 * time.Second
	// recoverInterval is how often a server is asked that did not answer, or without the mark.
	recoverInterval = 2 * time.Second
)

// health is how the server is, by its last answers. The zero value has heard nothing.
type health struct {
	mu     sync.Mutex
	wrong  error     // of the last request
	other  error     // the bucket is another one: it does not have the mark
	marked time.Time // when it last had the mark
}

// note says how a request ended, which whoever asked for it did not end.
func (h *health) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = nil
	if errors.Is(err, store.ErrUnavailable) && !isDecision(err) {
		h.wrong = err
	}
}

// noteMark says whether the bucket has the mark. No other answer says that it has.
func (h *health) noteMark(other error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.other = other; other == nil {
		h.marked = time.Now()
	}
}

func (h *health) fault() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cmp.Or(h.other, h.wrong)
}

// isDue tells whether the server is to be asked.
func (h *health) isDue() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrong != nil || h.other != nil || time.Since(h.marked) >= pingInterval
}

// Fault is why the server is not as it should be, by what the last requests met.
func (b *Bucket) Fault() error { return b.health.fault() }

// Writable is Usable for what makes objects: none are made in an empty bucket that has taken the
// place of the right one, whose server takes them.
func (b *Bucket) Writable(ctx context.Context) error {
	b.health.mu.Lock()
	defer b.health.mu.Unlock()
	return cmp.Or(b.Usable(ctx), b.health.other)
}

// Ping asks the server for the mark, in the background, until the bucket is closed.
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

// ask asks the server for the mark, and tells what comes of it.
func (b *Bucket) ask(ctx context.Context, told *waiting.Lasting) {
	err := b.checkMark(ctx)
	switch {
	case err == nil && *told != (waiting.Lasting{}):
		b.log.Info("the S3 server answers again")
		*told = waiting.Lasting{}
	case err != nil && ctx.Err() == nil && told.IsNews(err.Error()):
		b.log.Error("the S3 server does not do as it should", "error", err)
	}
}

// checkMark asks for the mark, which must be there.
func (b *Bucket) checkMark(ctx context.Context) error {
	listed, err := b.isListed(ctx, b.mark)
	if err != nil {
		return err
	}
	if !listed {
		err = fmt.Errorf("%w: the bucket does not have %s, which is always there", store.ErrUnavailable, b.mark)
	}
	b.health.noteMark(err)
	return err
}
