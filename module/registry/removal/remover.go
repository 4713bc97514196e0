package removal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Remover deletes the bytes of a registry that no file has. All methods may run
// concurrently.
type Remover struct {
	metadata store.MetadataStore
	blobs    store.BlobStore
	now      func() time.Time
	log      *slog.Logger
	changed  func(context.Context)

	hold        hold
	reaping     chan struct{} // semaphore of Reap
	graces      graces
	sweeper     sweeper
	positioning sync.Mutex                      // of KeepPosition
	behind      atomic.Pointer[error]           // why nothing is changed; nil when the metadata is not older than the blobs
	recovered   atomic.Pointer[[]store.Locator] // what the blob store wrote again when it was opened; nil once those that nothing names are deleted
	condemned   chan struct{}                   // holds one token when there may be bytes to reap
}

// New returns a remover of two open stores, which stay the caller's. It calls changed when
// files may have been deleted.
func New(metadata store.MetadataStore, blobs store.BlobStore, now func() time.Time, log *slog.Logger, changed func(context.Context)) *Remover {
	return &Remover{metadata: metadata, blobs: blobs, now: now, log: log, changed: changed, reaping: make(chan struct{}, 1), condemned: make(chan struct{}, 1)}
}

// Start finds out whether the metadata is older than the blobs, and what a crash brought
// back. What it does not find out, the sweep asks for again before it deletes anything.
func (r *Remover) Start(ctx context.Context) error {
	err := r.KeepPosition(ctx, false)
	if r.IsBehind() != nil {
		return nil // which is logged, and told by health
	}
	if blobs, ok := r.blobs.(store.Recoverer); ok {
		if recovered := blobs.Recovered(); len(recovered) > 0 {
			r.recovered.Store(&recovered)
		}
	}
	return err
}

// uploads returns where the bytes of uploads lie that may be published still. It ends those
// that nobody can publish any more, of a process that is gone: they expired store.SweepAfter ago.
func (r *Remover) uploads(ctx context.Context) (map[store.Locator]bool, error) {
	end := waiting.Attend(r.log, "reading uploads")
	sessions, err := r.blobs.Sessions(ctx)
	end()
	if err != nil {
		return nil, fmt.Errorf("reading uploads: %w", err)
	}
	locators := make(map[store.Locator]bool, len(sessions))
	for _, session := range sessions {
		if session.Locator == "" {
			return nil, fmt.Errorf("%w: upload %s cannot be read, and nothing else says where its bytes are", store.ErrUnavailable, session.ID)
		}
		if r.now().Sub(session.Expires) > store.SweepAfter {
			if err := r.blobs.EndSession(ctx, session.ID); err != nil {
				return nil, fmt.Errorf("ending an upload that expired: %w", err)
			}
			continue
		}
		locators[session.Locator] = true
	}
	return locators, nil
}
