package memory

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Backend opens stores in memory, or fails as told.
type Backend struct {
	Metadata *Metadata
	Blobs    *Blobs

	Opened   atomic.Int32 // how often metadata was opened
	Adjusted atomic.Int32 // and given settings while it was open

	Slow time.Duration // what opening takes
	Deaf bool          // and whether it does not hear of the end of its context
	Says string        // meanwhile

	fault atomic.Pointer[error]
}

// NewBackend returns one of empty places.
func NewBackend() *Backend { return &Backend{Metadata: NewMetadata(), Blobs: NewBlobs()} }

// Fail has metadata that is opened from now on fail with an error or, with nil, open.
func (b *Backend) Fail(err error) { b.fault.Store(&err) }

// Identity implements store.MetadataBackend and store.BlobBackend.
func (b *Backend) Identity(root string) string { return root }

// OpenMetadata implements store.MetadataBackend.
func (b *Backend) OpenMetadata(ctx context.Context, _ string, _ *slog.Logger) (store.MetadataStore, error) {
	if b.Says != "" {
		store.ReportProgress(ctx, b.Says)
	}
	if b.Deaf {
		time.Sleep(b.Slow)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	select {
	case <-time.After(b.Slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fault := b.fault.Load(); fault != nil && *fault != nil {
		return nil, *fault
	}
	b.Opened.Add(1)
	return b.Metadata.Open()
}

// OpenBlobs implements store.BlobBackend.
func (b *Backend) OpenBlobs(context.Context, string, *slog.Logger) (store.BlobStore, error) {
	return b.Blobs.Open()
}

// AdjustMetadata implements store.MetadataAdjuster.
func (b *Backend) AdjustMetadata(store.MetadataStore) error {
	b.Adjusted.Add(1)
	return nil
}
