package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// cleanUpFiles is how many files of a deleted version are released in one transaction.
const cleanUpFiles = 1000

// Reclaim implements store.MetadataStore.
func (s *Store) Reclaim(ctx context.Context, limit int) (locators []store.Locator, err error) {
	for {
		err := s.db.Read(ctx, func(ctx context.Context, from database.Reader) (err error) {
			locators, err = readLocators(ctx, from, `SELECT locator FROM {s}.condemned
				WHERE buried IS NULL AND NOT EXISTS (SELECT FROM {s}.hold WHERE until > now()) ORDER BY locator LIMIT $1`, limit)
			return err
		})
		if err != nil || len(locators) > 0 {
			return locators, err
		}
		if more, err := s.cleanUp(ctx); err != nil || !more {
			return nil, err
		}
	}
}

func readLocators(ctx context.Context, from database.Reader, sql string, args ...any) ([]store.Locator, error) {
	rows, err := from.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[store.Locator])
}

// cleanUp takes a step at what deletes have left, and tells whether there was anything. A
// step whose outcome is unknown is taken again: it does what is left.
func (s *Store) cleanUp(ctx context.Context) (more bool, err error) {
	err = s.db.WriteRow(ctx, &more, `SELECT {s}.clean_up_1($1)`, cleanUpFiles)
	return more, err
}

// Bury implements store.MetadataStore. Nobody names the bytes any more who could have named them
// when they were deleted: until that is so they stay condemned.
func (s *Store) Bury(ctx context.Context, locators []store.Locator) error {
	if err := s.db.Write(ctx, `DELETE FROM {s}.condemned WHERE buried < now() - $1::interval`, store.SweepAfter); err != nil {
		return err
	}
	return s.db.Write(ctx, `UPDATE {s}.condemned SET buried = now() WHERE locator = ANY ($1) AND buried IS NULL`, texts(locators))
}

// Condemn implements store.Turns.
func (s *Store) Condemn(ctx context.Context, owner string, locator store.Locator) (condemned bool, err error) {
	err = s.db.WriteRow(ctx, &condemned, `SELECT {s}.give_up_3($1, $2)`, store.Fold(owner), string(locator))
	return condemned, err
}

func texts(locators []store.Locator) []string {
	texts := make([]string, len(locators))
	for i, locator := range locators {
		texts[i] = string(locator)
	}
	return texts
}

// Unnamed implements store.MetadataStore.
func (s *Store) Unnamed(ctx context.Context, locators []store.Locator) (unnamed []store.Locator, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) (err error) {
		unnamed, err = readLocators(ctx, from, `SELECT l FROM unnest($1::text[]) l
			WHERE NOT EXISTS (SELECT FROM {s}.blob WHERE locator = l) AND NOT EXISTS (SELECT FROM {s}.condemned WHERE locator = l AND buried IS NULL)`, texts(locators))
		return err
	})
	return unnamed, err
}
