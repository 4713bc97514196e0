package removal

import (
	"context"
	"fmt"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// hold keeps bytes from being deleted while backups read them. Deletions come in
// batches; a backup waits for those in progress, and none begins while it runs.
type hold struct {
	mu      sync.Mutex
	backups int
	batches int
	idle    chan struct{} // closed when no batch is in progress any more; nil when none is
}

// take holds deletions back until the returned function is called, which may be
// done once. When it returns, no batch is in progress.
func (h *hold) take(ctx context.Context) (release func(), err error) {
	h.mu.Lock()
	h.backups++
	idle := h.idle
	h.mu.Unlock()
	if idle == nil {
		return h.release, nil
	}
	select {
	case <-idle:
		return h.release, nil
	case <-ctx.Done():
		h.release()
		return nil, fmt.Errorf("waiting for deletions: %w", ctx.Err())
	}
}

func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backups--
}

// begin tells whether a batch may begin; end must follow then.
func (h *hold) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.backups > 0 {
		return false
	}
	if h.batches++; h.idle == nil {
		h.idle = make(chan struct{})
	}
	return true
}

func (h *hold) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.batches--; h.batches == 0 {
		close(h.idle)
		h.idle = nil
	}
}

// Hold keeps the bytes of all blobs until the returned function is called; what was
// condemned meanwhile is then deleted. Other processes that share the stores keep them too:
// the context that it returns ends when they may not.
func (r *Remover) Hold(ctx context.Context) (held context.Context, release func(), err error) {
	letGo, err := r.hold.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	end := func() {}
	if shared, ok := r.metadata.(store.Holder); ok {
		if ctx, end, err = shared.Hold(ctx); err != nil {
			letGo()
			return nil, nil, fmt.Errorf("keeping other processes from deleting bytes: %w", err)
		}
	}
	return ctx, func() {
		end()
		letGo()
		r.WakeReaper()
	}, nil
}
