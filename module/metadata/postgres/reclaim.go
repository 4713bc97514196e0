package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// cleanUpFiles of a deleted version are released in one transaction.
	cleanUpFiles = 1000
	// cleanUpSteps is how many such transactions a call makes, of Reclaim when there are locators:
	// they take about a second.
	cleanUpSteps = 200
)

// Reclaim implements store.MetadataStore. It reads the locators again after as many steps of the
// clean-up as may release what there is room for.
func (s *Store) Reclaim(ctx context.Context, limit int) (locators []store.Locator, err error) {
	for steps := 0; ; {
		if locators, err = s.condemned(ctx, limit); err != nil {
			return nil, err
		}
		room := limit - len(locators)
		if room <= 0 || len(locators) > 0 && steps >= cleanUpSteps {
			return locators, nil
		}
		taken, err := s.cleanUp(ctx, max(1, room/cleanUpFiles))
		if err != nil || taken == 0 {
			return locators, err
		}
		steps += taken
	}
}

// CleanUp implements store.MetadataStore.
func (s *Store) CleanUp(ctx context.Context) (more bool, err error) {
	taken, err := s.cleanUp(ctx, cleanUpSteps)
	return taken == cleanUpSteps, err
}

func (s *Store) condemned(ctx context.Context, limit int) (locators []store.Locator, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) (err error) {
		locators, err = readLocators(ctx, from, `SELECT locator FROM {s}.condemned
			WHERE buried IS NULL AND NOT EXISTS (SELECT FROM {s}.hold WHERE until > now()) ORDER BY locator LIMIT $1`, limit)
		return err
	})
	return locators, err
}

func readLocators(ctx context.Context, from database.Reader, sql string, args ...any) ([]store.Locator, error) {
	rows, err := from.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[store.Locator])
}

// cleanUp takes steps at what deletes have left, until nothing is left, and tells how many. A
// step whose outcome is unknown is taken again: it does what is left.
func (s *Store) cleanUp(ctx context.Context, steps int) (taken int, err error) {
	for ; taken < steps; taken++ {
		var more bool
		if err := s.db.WriteRow(ctx, &more, `SELECT {s}.clean_up_1($1)`, cleanUpFiles); err != nil || !more {
			return taken, err
		}
	}
	return taken, nil
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
