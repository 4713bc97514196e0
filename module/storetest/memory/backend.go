package memory

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
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

	// Place is its identity, in place of the root.
	Place string

	fault           atomic.Pointer[error]
	metadata, blobs atomic.Pointer[store.Condition]
}

// NewBackend returns one of empty places.
func NewBackend() *Backend { return &Backend{Metadata: NewMetadata(), Blobs: NewBlobs()} }

// Fail has metadata that is opened from now on fail with an error or, with nil, open.
func (b *Backend) Fail(err error) { b.fault.Store(&err) }

// Identity implements store.MetadataBackend and store.BlobBackend.
func (b *Backend) Identity(root string) string { return cmp.Or(b.Place, root) }

// Tell has both stores, open or not yet, say that they are in a condition.
func (b *Backend) Tell(metadata, blobs store.Condition) {
	b.metadata.Store(&metadata)
	b.blobs.Store(&blobs)
}

// OpenMetadata implements store.MetadataBackend.
func (b *Backend) OpenMetadata(ctx context.Context, _ string, _ *slog.Logger) (store.MetadataStore, error) {
	if b.Says != "" {
		waiting.ReportProgress(ctx, waiting.Progress{Doing: b.Says})
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
	opened, err := b.Metadata.Open()
	if b.metadata.Load() == nil || err != nil {
		return opened, err
	}
	return toldMetadata{opened.(*metadataStore), &b.metadata}, nil
}

// OpenBlobs implements store.BlobBackend.
func (b *Backend) OpenBlobs(context.Context, string, *slog.Logger) (store.BlobStore, error) {
	opened, err := b.Blobs.Open()
	if b.blobs.Load() == nil || err != nil {
		return opened, err
	}
	return toldBlobs{opened, &b.blobs}, nil
}

// toldMetadata says what it is told of its condition.
type toldMetadata struct {
	*metadataStore
	condition *atomic.Pointer[store.Condition]
}

func (s toldMetadata) Condition() store.Condition { return *s.condition.Load() }

// toldBlobs says what it is told of its condition.
type toldBlobs struct {
	store.BlobStore
	condition *atomic.Pointer[store.Condition]
}

func (s toldBlobs) Condition() store.Condition { return *s.condition.Load() }

// AdjustMetadata implements store.MetadataAdjuster.
func (b *Backend) AdjustMetadata(store.MetadataStore) error {
	b.Adjusted.Add(1)
	return nil
}
