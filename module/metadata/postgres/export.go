package postgres

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/checkpoint"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/store/told"
)

// Export implements told.Exporter.
func (s *Store) Export(ctx context.Context, w io.Writer) (store.Position, error) {
	return checkpoint.Export(ctx, s.db, w)
}

// Import implements told.Importer.
func (b *Backend) Import(ctx context.Context, _, id string, at store.Position, lines io.Reader, log *slog.Logger) error {
	db, err := database.Open(ctx, b.settings, log)
	if err != nil {
		return fmt.Errorf("opening PostgreSQL at %s: %w", b.settings.Address(), err)
	}
	defer db.Close()
	return checkpoint.Import(ctx, db, id, at, lines)
}

// IsVacant implements remote.Elsewhere.
func (b *Backend) IsVacant(ctx context.Context) (vacant bool, err error) {
	conn, err := b.settings.Connect(ctx)
	if err != nil {
		return false, fmt.Errorf("connecting to PostgreSQL at %s: %w", b.settings.Address(), err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var made bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'store')`, b.Schema).Scan(&made)
	if err != nil || !made {
		return err == nil, err
	}
	err = conn.QueryRow(ctx, b.settings.SQL(`SELECT NOT EXISTS (SELECT FROM {s}.owner) AND NOT EXISTS (SELECT FROM {s}.token)`)).Scan(&vacant)
	return vacant, err
}

var (
	_ told.Exporter    = (*Store)(nil)
	_ told.Importer    = (*Backend)(nil)
	_ remote.Elsewhere = (*Backend)(nil)
)
