package postgres

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// BindBlobs implements store.Shared.
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

var (
	_ store.Shared  = (*Store)(nil)
	_ store.Checked = (*Store)(nil)
)
