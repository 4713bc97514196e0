package postgres

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Lookup implements store.MetadataStore.
func (s *Store) Lookup(ctx context.Context, ref store.Ref) (store.File, error) {
	return s.lookup(ctx, ref, false)
}

// lookup finds a file of a draft, or of a published version.
func (s *Store) lookup(ctx context.Context, ref store.Ref, draft bool) (store.File, error) {
	key := ref.Key()
	if !isName(key.Owner, key.Package, key.Version) {
		return store.File{}, s.absent(ctx, store.ErrPackageNotFound)
	}
	if !isName(key.File) {
		key.File = "" // which no file is called
	}
	var row fileRow
	var missing error
	err := s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		var hasFile bool
		missing = store.ErrPackageNotFound
		err := from.QueryRow(ctx, `SELECT f.id IS NOT NULL, `+fileColumns+` FROM {s}.owner o
			JOIN {s}.package p ON p.owner_id = o.id JOIN {s}.version v ON v.package_id = p.id AND v.draft = $5
			LEFT JOIN {s}.file f ON f.version_id = v.id AND f.key = $4 LEFT JOIN {s}.blob b ON b.digest = f.digest
			WHERE o.key = $1 AND p.key = $2 AND v.key = $3`, key.Owner, key.Package, key.Version, key.File, draft).
			Scan(append([]any{&hasFile}, row.fields()...)...)
		switch {
		case isNone(err):
			return nil
		case err != nil:
			return err
		case !hasFile:
			missing = store.ErrFileNotFound
			return nil
		}
		missing = nil
		return nil
	})
	if err != nil || missing != nil {
		return store.File{}, cmp.Or(err, missing)
	}
	return row.file(), nil
}

// Usage implements store.MetadataStore.
func (s *Store) Usage(ctx context.Context, owner string) (usage store.Usage, err error) {
	key := store.Fold(owner)
	if !isName(key) {
		return usage, s.absent(ctx, nil)
	}
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		err := from.QueryRow(ctx, `SELECT bytes + draft_bytes, versions + draft_versions, files + draft_files, draft_versions FROM {s}.owner WHERE key = $1`, key).
			Scan(&usage.Bytes, &usage.Versions, &usage.Files, &usage.Drafts)
		if isNone(err) {
			return nil
		}
		return err
	})
	return usage, err
}

// Totals implements store.Totaled.
func (s *Store) Totals(ctx context.Context) (totals store.Totals, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		return from.QueryRow(ctx, `SELECT count(*), COALESCE(sum(versions + draft_versions), 0)::bigint, COALESCE(sum(bytes + draft_bytes), 0)::bigint
			FROM {s}.owner WHERE versions + draft_versions > 0`).Scan(&totals.Owners, &totals.Versions, &totals.Bytes)
	})
	return totals, err
}

// FindBlob implements store.MetadataStore.
func (s *Store) FindBlob(ctx context.Context, digest store.Digest) (blob store.Blob, err error) {
	found := false
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		err := from.QueryRow(ctx, `SELECT locator, size, damage FROM {s}.blob WHERE digest = $1`, digest[:]).Scan(&blob.Locator, &blob.Size, &blob.Damage)
		if found = err == nil; isNone(err) {
			return nil
		}
		return err
	})
	if err == nil && !found {
		err = store.ErrBlobNotFound
	}
	if err != nil {
		return store.Blob{}, err
	}
	blob.Digest = digest
	return blob, nil
}

// Blobs implements store.MetadataStore.
func (s *Store) Blobs(ctx context.Context, after store.Digest, limit int) (blobs []store.Blob, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		rows, err := from.Query(ctx, `SELECT digest, locator, size, damage FROM {s}.blob WHERE digest > $1 ORDER BY digest LIMIT $2`, after[:], limit)
		if err != nil {
			return err
		}
		blobs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (blob store.Blob, err error) {
			var digest []byte
			err = row.Scan(&digest, &blob.Locator, &blob.Size, &blob.Damage)
			if err == nil {
				blob.Digest = store.Digest(digest)
			}
			return blob, err
		})
		return err
	})
	return blobs, err
}

var _ store.Totaled = (*Store)(nil)
