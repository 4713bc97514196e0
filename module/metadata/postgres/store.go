package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/changes"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/nodes"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Store is a registry's metadata in a schema of a PostgreSQL database.
type Store struct {
	*nodes.Nodes
	*changes.Changes
	db *database.Database
}

// ID implements store.MetadataStore.
func (s *Store) ID() string { return s.db.ID() }

// Clock implements store.MetadataStore.
func (s *Store) Clock() time.Time { return s.db.Clock() }

// Admit implements store.MetadataStore.
func (s *Store) Admit(ctx context.Context) error { return s.db.Admit(ctx) }

// Condition implements store.MetadataStore.
func (s *Store) Condition() store.Condition { return s.db.Condition() }

// Close implements store.MetadataStore.
func (s *Store) Close() error {
	s.Leave()
	s.db.Close()
	return nil
}

// absent is the error of a call for a name that nothing can have.
func (s *Store) absent(ctx context.Context, what error) error {
	return cmp.Or(s.db.Ready(ctx), what)
}

// isNone tells whether a query has no row.
func isNone(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

var (
	_ store.MetadataStore = (*Store)(nil)
	_ store.Turns         = (*Store)(nil)
)
