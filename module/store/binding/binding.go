// Package binding ties the two stores of a registry to each other.
package binding

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Bind ties two open stores to each other, for ever: the blobs to the metadata, and metadata
// that several processes may have open to the blobs that they share. ErrMismatch,
// ErrUnavailable.
func Bind(ctx context.Context, metadata store.MetadataStore, blobs store.BlobStore) error {
	if err := blobs.Bind(ctx, metadata.ID()); err != nil {
		return fmt.Errorf("binding blobs to metadata: %w", err)
	}
	shared, isShared := metadata.(store.Shared)
	identified, isIdentified := blobs.(store.Identified)
	if !isShared || !isIdentified {
		return nil
	}
	id, err := identified.BlobsID(ctx)
	if err == nil {
		err = shared.BindBlobs(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("binding metadata to blobs: %w", err)
	}
	return nil
}
