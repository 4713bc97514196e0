package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/changes"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// The statement sees the draft as it was before, if it was one.
const publishDraftSQL = `SELECT {s}.told_5(m.outcome, d.id IS NOT NULL, $7, NULL, d.id), m.names, m.digests
	FROM {s}.publish_draft_1($1, $2, $3, $4, $5, $6) m LEFT JOIN (
		SELECT v.id FROM {s}.owner o JOIN {s}.package p ON p.owner_id = o.id JOIN {s}.version v ON v.package_id = p.id
		WHERE o.key = $1 AND p.key = $2 AND v.key = $3 AND v.draft) d ON true`

// PublishDraft implements store.Drafts.
func (s *Store) PublishDraft(ctx context.Context, ref store.VersionRef, expected map[string]store.Digest, act store.Act) ([]store.Difference, error) {
	key := ref.Key()
	if !isName(key.Owner, key.Package, key.Version) {
		return nil, s.absent(ctx, store.ErrPackageNotFound)
	}
	keys, digests := expectedFiles(expected)
	var outcome string
	var names []string
	var found [][]byte
	err := s.db.Submit(ctx, &database.Change{
		SQL:   publishDraftSQL,
		Args:  []any{key.Owner, key.Package, key.Version, act.Time.UnixNano(), keys, digests, changes.Line(store.PublishDraftChange(ref, 0, act))},
		Scan:  func(answer pgx.Row) error { return answer.Scan(&outcome, &names, &found) },
		Locks: database.Locks{Owners: []string{key.Owner}},
	})
	if err != nil {
		return nil, err
	}
	switch outcome {
	case "done":
		return nil, nil
	case "no_version":
		return nil, store.ErrPackageNotFound
	case "different":
		see, differences := store.Compare(expected)
		for i, name := range names {
			see(name, store.Digest(found[i]))
		}
		return differences(), store.ErrDifferent
	}
	return nil, fmt.Errorf("PostgreSQL: publishing a draft ended with %q", outcome)
}

// expectedFiles are arrays of what is expected, nil for nothing. A name that no file can
// have is one that PostgreSQL does not take either: it is told as another that none has.
func expectedFiles(expected map[string]store.Digest) (keys []string, digests [][]byte) {
	if expected == nil {
		return nil, nil
	}
	folded := make(map[string]store.Digest, len(expected))
	for name, digest := range expected {
		folded[database.Storable(store.Fold(name))] = digest
	}
	keys, digests = make([]string, 0, len(folded)), make([][]byte, 0, len(folded))
	for name, digest := range folded {
		keys, digests = append(keys, name), append(digests, digest[:])
	}
	return keys, digests
}

// LookupDraft implements store.Drafts.
func (s *Store) LookupDraft(ctx context.Context, ref store.Ref) (store.File, error) {
	return s.lookup(ctx, ref, true)
}

// DraftsBefore implements store.Drafts.
func (s *Store) DraftsBefore(ctx context.Context, before time.Time, limit int) (refs []store.VersionRef, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		rows, err := from.Query(ctx, `SELECT o.name, p.name, v.name FROM {s}.version v
			JOIN {s}.package p ON p.id = v.package_id JOIN {s}.owner o ON o.id = v.owner_id
			WHERE v.draft AND v.created < $1 ORDER BY v.created, v.id LIMIT $2`, before.UnixNano(), limit)
		if err != nil {
			return err
		}
		refs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (ref store.VersionRef, err error) {
			err = row.Scan(&ref.Owner, &ref.Package, &ref.Version)
			return ref, err
		})
		return err
	})
	return refs, err
}
