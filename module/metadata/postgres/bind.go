package postgres

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/binding"
)

// BindBlobs implements binding.Metadata.
func (s *Store) BindBlobs(ctx context.Context, blobsID string) error {
	var bound string
	err := s.db.WriteRow(ctx, &bound, `UPDATE {s}.store SET blobs = COALESCE(blobs, $1) RETURNING blobs`, blobsID)
	if err != nil {
		return err
	}
	if bound != blobsID {
		return fmt.Errorf("%w: the metadata in PostgreSQL is of other blobs: use those, or another schema", store.ErrMismatch)
	}
	return nil
}

// Position implements store.Shared.
func (s *Store) Position(ctx context.Context) (store.Position, error) { return s.db.Position(ctx) }

// Reconnected implements store.Shared.
func (s *Store) Reconnected() <-chan struct{} { return s.db.Reconnected() }

var (
	_ store.Shared     = (*Store)(nil)
	_ binding.Metadata = (*Store)(nil)
	_ store.Checked    = (*Store)(nil)
)
