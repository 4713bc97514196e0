// Package binding ties the two stores of a registry to each other.
package binding

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Metadata is implemented by a MetadataStore that knows its blobs again.
type Metadata interface {
	// BindBlobs ties the metadata to the blob store of an ID, for ever. ErrMismatch when it
	// is tied to another, such as an empty directory whose file system is not mounted: with
	// other blobs every file would be missing.
	BindBlobs(ctx context.Context, blobsID string) error
}

// Bind ties two open stores to each other, for ever: the blobs to the metadata, and metadata
// that knows its blobs again to those. ErrMismatch, ErrUnavailable.
func Bind(ctx context.Context, metadata store.MetadataStore, blobs store.BlobStore) error {
	if err := blobs.Bind(ctx, metadata.ID()); err != nil {
		return fmt.Errorf("binding blobs to metadata: %w", err)
	}
	knowing, isKnowing := metadata.(Metadata)
	identified, isIdentified := blobs.(store.Identified)
	if !isKnowing || !isIdentified {
		return nil
	}
	id, err := identified.BlobsID(ctx)
	if err == nil {
		err = knowing.BindBlobs(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("binding metadata to blobs: %w", err)
	}
	return nil
}
