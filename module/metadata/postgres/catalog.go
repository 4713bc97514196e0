package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/search"
)

// chunk is how many rows are asked for at once where not all of them are wanted.
const chunk = 1000

// mostCounted is for how many packages no further owner is counted in the same query.
const mostCounted = 10_000

// Owners implements store.Catalog.
func (s *Store) Owners(ctx context.Context, q store.OwnerQuery) (page store.OwnerPage, err error) {
	size := store.PageSize(q.Limit)
	err = s.db.View(ctx, func(ctx context.Context, from database.Reader) error {
		page = store.OwnerPage{}
		var last string
		for after := store.Fold(q.After); isName(after); {
			owners, err := ownersAfter(ctx, from, after)
			if err != nil {
				return err
			}
			counted := 0
			for i := range owners {
				if i == counted {
					n, err := countSelected(ctx, from, owners[i:], q.Selection)
					if err != nil {
						return err
					}
					counted += n
				}
				owner := owners[i]
				if owner.info.Packages == 0 {
					continue
				}
				if len(page.Owners) == size {
					page.Next = last
					return nil
				}
				page.Owners, last = append(page.Owners, owner.info), owner.key
			}
			if len(owners) < chunk {
				return nil
			}
			after = owners[len(owners)-1].key
		}
		return nil
	})
	return page, err
}

// listedOwner is an owner with its id and its folded name.
type listedOwner struct {
	id   int64
	key  string
	info store.OwnerInfo
}

func ownersAfter(ctx context.Context, from database.Reader, after string) ([]listedOwner, error) {
	rows, err := from.Query(ctx, `SELECT id, key, name, packages, versions, files, bytes FROM {s}.owner
		WHERE key > $1 AND packages > 0 ORDER BY key LIMIT $2`, after, chunk)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o listedOwner, err error) {
		err = row.Scan(&o.id, &o.key, &o.info.Name, &o.info.Packages, &o.info.Versions, &o.info.Files, &o.info.Bytes)
		return o, err
	})
}

// countSelected counts anew what is selected of owners, unless that is all. It does so for the
// first of them whose packages are few enough for one query, and returns how many they are.
func countSelected(ctx context.Context, from database.Reader, owners []listedOwner, selected store.Selection) (n int, err error) {
	parts, ids := make(map[int64]*listedOwner), []int64(nil)
	var packages int64
	for n < len(owners) && packages < mostCounted {
		owner := &owners[n]
		n++
		if selected.IsWhole(owner.key) {
			continue
		}
		if selected.None == nil || !selected.None(owner.key) {
			packages += owner.info.Packages
			parts[owner.id], ids = owner, append(ids, owner.id)
		}
		owner.info.Packages, owner.info.Sums = 0, store.Sums{}
	}
	if len(ids) == 0 {
		return n, nil
	}
	rows, err := from.Query(ctx, `SELECT owner_id, key, versions, files, bytes FROM {s}.package
		WHERE owner_id = ANY ($1) AND versions > 0`, ids)
	if err != nil {
		return 0, err
	}
	var id int64
	var key string
	var sums store.Sums
	_, err = pgx.ForEachRow(rows, []any{&id, &key, &sums.Versions, &sums.Files, &sums.Bytes}, func() error {
		if owner := parts[id]; selected.Select(owner.key, key) {
			owner.info.Packages++
			owner.info.Add(sums)
		}
		return nil
	})
	return n, err
}

// listedPackage is a package with its id and its folded name.
type listedPackage struct {
	id   int64
	key  string
	info store.PackageInfo
}

// eachPackage calls a function for the packages of an owner that have something published,
// in the order of their folded names, until it returns false.
func eachPackage(ctx context.Context, from database.Reader, owner int64, after string, fn func(p listedPackage) bool) error {
	for {
		rows, err := from.Query(ctx, `SELECT id, key, name, versions, files, bytes FROM {s}.package
			WHERE owner_id = $1 AND key > $2 AND versions > 0 ORDER BY key LIMIT $3`, owner, after, chunk)
		if err != nil {
			return err
		}
		packages, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p listedPackage, err error) {
			err = row.Scan(&p.id, &p.key, &p.info.Name, &p.info.Versions, &p.info.Files, &p.info.Bytes)
			return p, err
		})
		if err != nil {
			return err
		}
		for _, p := range packages {
			if !fn(p) {
				return nil
			}
		}
		if len(packages) < chunk {
			return nil
		}
		after = packages[len(packages)-1].key
	}
}

// findOwner returns the row of an owner. Zero when there is none.
func findOwner(ctx context.Context, from database.Reader, key string) (o listedOwner, err error) {
	if !isName(key) {
		return o, nil
	}
	err = from.QueryRow(ctx, `SELECT id, key, name, packages, versions, files, bytes FROM {s}.owner WHERE key = $1`, key).
		Scan(&o.id, &o.key, &o.info.Name, &o.info.Packages, &o.info.Versions, &o.info.Files, &o.info.Bytes)
	if isNone(err) {
		return o, nil
	}
	return o, err
}

// Packages implements store.Catalog.
func (s *Store) Packages(ctx context.Context, q store.PackageQuery) (page store.PackagePage, err error) {
	size, search := store.PageSize(q.Limit), search.New(q.Search)
	after := store.Fold(q.After)
	if !isName(after) {
		after = ""
	}
	err = s.db.View(ctx, func(ctx context.Context, from database.Reader) error {
		page = store.PackagePage{}
		owner, err := findOwner(ctx, from, store.Fold(q.Owner))
		if err != nil || owner.id == 0 {
			return err
		}
		var last string
		return eachPackage(ctx, from, owner.id, after, func(p listedPackage) bool {
			if !search.Matches(p.key) || !q.Takes(owner.key, p.key) {
				return true
			}
			if len(page.Packages) == size {
				page.Next = last
				return false
			}
			p.info.Owner = owner.info.Name
			page.Packages, last = append(page.Packages, p.info), p.key
			return true
		})
	})
	return page, err
}

// versionColumns are those of a store.VersionInfo, of a version v of a package p of an
// owner o.
const versionColumns = `v.id, o.name, p.name, v.name, v.creator, v.created, v.draft, v.rank, v.files, v.bytes, v.downloads, v.downloaded`

func scanVersion(row pgx.Row, more ...any) (info store.VersionInfo, err error) {
	var created int64
	var downloaded *int64
	var rank []byte
	err = row.Scan(append([]any{
		&info.ID, &info.Owner, &info.Package, &info.Version, &info.Creator, &created, &info.Draft, &rank,
		&info.Files, &info.Bytes, &info.Downloads, &downloaded,
	}, more...)...)
	info.Created, info.Rank, info.Downloaded = database.TimeOf(created), string(rank), database.TimeOrZero(downloaded)
	return info, err
}

// findVersion returns a draft, or a published version. Its id is zero when there is none.
func findVersion(ctx context.Context, from database.Reader, key store.VersionRef, draft bool) (store.VersionInfo, error) {
	if !isName(key.Owner, key.Package, key.Version) {
		return store.VersionInfo{}, nil
	}
	info, err := scanVersion(from.QueryRow(ctx, `SELECT `+versionColumns+` FROM {s}.owner o
		JOIN {s}.package p ON p.owner_id = o.id JOIN {s}.version v ON v.package_id = p.id
		WHERE o.key = $1 AND p.key = $2 AND v.key = $3 AND v.draft = $4`, key.Owner, key.Package, key.Version, draft))
	if isNone(err) {
		return store.VersionInfo{}, nil
	}
	return info, err
}

// FindVersion implements store.Catalog.
func (s *Store) FindVersion(ctx context.Context, ref store.VersionRef) (info store.VersionInfo, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) (err error) {
		info, err = findVersion(ctx, from, ref.Key(), false)
		return err
	})
	if err == nil && info.ID == 0 {
		err = store.ErrPackageNotFound
	}
	return info, err
}

// Files implements store.Catalog.
func (s *Store) Files(ctx context.Context, q store.FileQuery) (page store.FilePage, err error) {
	size, after := store.PageSize(q.Limit), store.Fold(q.After)
	if !isName(after) {
		after = ""
	}
	err = s.db.View(ctx, func(ctx context.Context, from database.Reader) (err error) {
		page = store.FilePage{}
		if page.Version, err = findVersion(ctx, from, q.Key(), q.Draft); err != nil || page.Version.ID == 0 {
			return err
		}
		rows, err := from.Query(ctx, `SELECT `+fileColumns+` FROM {s}.file f
			JOIN {s}.version v ON v.id = f.version_id JOIN {s}.package p ON p.id = v.package_id JOIN {s}.owner o ON o.id = v.owner_id
			LEFT JOIN {s}.blob b ON b.digest = f.digest
			WHERE f.version_id = $1 AND f.key > $2 ORDER BY f.key LIMIT $3`, page.Version.ID, after, size+1)
		if err != nil {
			return err
		}
		page.Files, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.File, error) {
			var r fileRow
			err := row.Scan(r.fields()...)
			return r.file(), err
		})
		return err
	})
	switch {
	case err != nil:
		return page, err
	case page.Version.ID == 0:
		return page, store.ErrPackageNotFound
	case len(page.Files) > size:
		page.Files = page.Files[:size]
		page.Next = store.Fold(page.Files[size-1].File)
	}
	return page, nil
}

var _ store.Catalog = (*Store)(nil)
