package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// AddDownloads implements store.MetadataStore. A transaction whose outcome is unknown is not
// made again: downloads would be counted twice.
func (s *Store) AddDownloads(ctx context.Context, downloads []store.Download) error {
	names := [4][]string{{}, {}, {}, {}}
	var ids, counts, last []int64
	for _, d := range downloads {
		key := d.Ref.Key()
		if !isName(key.Owner, key.Package, key.Version, key.File) {
			continue
		}
		for i, name := range []string{key.Owner, key.Package, key.Version, key.File} {
			names[i] = append(names[i], name)
		}
		ids, counts, last = append(ids, d.ID), append(counts, d.Count), append(last, d.Last.UnixNano())
	}
	if len(ids) == 0 {
		return s.absent(ctx, nil)
	}
	return s.db.Submit(ctx, &database.Change{
		SQL:   `SELECT {s}.downloaded_1($1, $2, $3, $4, $5, $6, $7)`,
		Args:  []any{names[0], names[1], names[2], names[3], ids, counts, last},
		Scan:  func(answer pgx.Row) error { return answer.Scan(nil) },
		Locks: database.Locks{Owners: names[0]},
	})
}

// SetHashes implements store.MetadataStore.
func (s *Store) SetHashes(ctx context.Context, digest store.Digest, hashes store.Hashes) error {
	return s.db.Write(ctx, `UPDATE {s}.blob SET hashes = $2 WHERE digest = $1`, digest[:], []byte(hashes))
}

// MarkDamage implements store.MetadataStore.
func (s *Store) MarkDamage(ctx context.Context, blob store.Blob, kind store.DamageKind) (news bool, err error) {
	var was *string
	err = s.db.Submit(ctx, &database.Change{
		SQL:   `SELECT {s}.mark_damage_1($1, $2, $3)`,
		Args:  []any{blob.Digest[:], string(blob.Locator), string(kind)},
		Scan:  func(answer pgx.Row) error { return answer.Scan(&was) },
		Locks: database.Locks{Digest: blob.Digest[:]},
	})
	if err == nil && was == nil {
		err = store.ErrBlobNotFound
	}
	return err == nil && (*was == "") != (kind == ""), err
}

// Damaged implements store.MetadataStore.
func (s *Store) Damaged(ctx context.Context, limit int) (count int64, digests []store.Digest, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		if err := from.QueryRow(ctx, `SELECT count(*) FROM {s}.blob WHERE damage <> ''`).Scan(&count); err != nil || count == 0 {
			return err
		}
		rows, err := from.Query(ctx, `SELECT digest FROM {s}.blob WHERE damage <> '' ORDER BY digest LIMIT $1`, limit)
		if err != nil {
			return err
		}
		digests, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (digest store.Digest, err error) {
			var bytes []byte
			if err = row.Scan(&bytes); err == nil {
				digest = store.Digest(bytes)
			}
			return digest, err
		})
		return err
	})
	return count, digests, err
}

// SaveScrub implements store.MetadataStore.
func (s *Store) SaveScrub(ctx context.Context, scrub store.Scrub) error {
	text, err := json.Marshal(scrub)
	if err != nil {
		return fmt.Errorf("telling how far the scrub is: %w", err)
	}
	return s.db.Write(ctx, `UPDATE {s}.store SET scrub = $1`, string(text))
}

// LastScrub implements store.MetadataStore.
func (s *Store) LastScrub(ctx context.Context) (scrub store.Scrub, err error) {
	var text *string
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		return from.QueryRow(ctx, `SELECT scrub FROM {s}.store`).Scan(&text)
	})
	if err != nil || text == nil {
		return scrub, err
	}
	if err := json.Unmarshal([]byte(*text), &scrub); err != nil {
		return scrub, fmt.Errorf("%w: how far the scrub is: %w", store.ErrDamaged, err)
	}
	return scrub, nil
}
