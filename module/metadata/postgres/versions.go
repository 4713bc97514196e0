package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/search"
)

// cursor is where a version is in a list.
type cursor struct {
	rank    []byte
	created int64
	id      int64
}

// first is before all versions.
var first = cursor{rank: []byte{}, created: math.MaxInt64, id: math.MaxInt64}

// orderSize is the length of a time and an id.
const orderSize = 16

// encoded is the cursor as clients see it.
func (c cursor) encoded() store.Cursor {
	text := binary.BigEndian.AppendUint64(c.rank, uint64(c.created))
	return store.Cursor(hex.EncodeToString(binary.BigEndian.AppendUint64(text, uint64(c.id))))
}

// decoded reads a cursor. One of another order, or that nobody gave, is before all versions.
func decoded(encoded store.Cursor, byRank bool) cursor {
	text, err := hex.DecodeString(string(encoded))
	length := len(text) - orderSize
	if err != nil || length < 0 || byRank != (length > 0) {
		return first
	}
	return cursor{
		rank:    text[:length],
		created: int64(binary.BigEndian.Uint64(text[length:])),
		id:      int64(binary.BigEndian.Uint64(text[length+8:])),
	}
}

// Versions implements store.Catalog.
func (s *Store) Versions(ctx context.Context, q store.VersionQuery) (page store.VersionPage, err error) {
	q.Owner, q.Package = store.Fold(q.Owner), store.Fold(q.Package)
	byRank := q.Order == store.HighestFirst && q.Package != "" && !q.Drafts
	err = s.db.View(ctx, func(ctx context.Context, from database.Reader) error {
		l := lister{
			Reader: from, query: q, byRank: byRank, search: search.New(q.Search),
			after: decoded(q.After, byRank), size: store.PageSize(q.Limit), skip: min(max(0, q.Skip), farthest),
		}
		var err error
		page, err = l.list(ctx)
		return err
	})
	return page, err
}

// farthest is more than there can be.
const farthest = 1 << 40

// lister makes one page of versions.
type lister struct {
	database.Reader
	query  store.VersionQuery // names folded
	byRank bool
	search search.Search
	after  cursor
	size   int
	skip   int64
	owner  listedOwner
}

func (l *lister) list(ctx context.Context) (page store.VersionPage, err error) {
	if !isName(l.query.Owner, l.query.Package) {
		return page, nil
	}
	if l.owner, err = findOwner(ctx, l.Reader, l.query.Owner); err != nil || l.owner.id == 0 {
		return page, err
	}
	var found []listedVersion
	switch {
	case l.query.Drafts:
		found, page.Total, err = l.drafts(ctx)
	case l.query.Package != "":
		found, page.Total, err = l.ofPackage(ctx)
	case l.query.Search == "" && l.query.IsWhole(l.query.Owner):
		page.Total = l.owner.info.Versions
		found, err = l.page(ctx, `v.owner_id = $1`, l.owner.id)
	default:
		found, page.Total, err = l.ofSome(ctx)
	}
	if !l.query.Total {
		page.Total = 0
	}
	if len(found) > l.size {
		found = found[:l.size]
		page.Next = l.at(found[l.size-1]).encoded()
	}
	for _, version := range found {
		page.Versions = append(page.Versions, version.VersionInfo)
	}
	return page, err
}

// listedVersion is a version with the folded name of its package.
type listedVersion struct {
	store.VersionInfo
	key string
}

// at is where a version is in the order of the list.
func (l *lister) at(v listedVersion) cursor {
	at := cursor{created: v.Created.UnixNano(), id: v.ID}
	if l.byRank {
		at.rank = []byte(v.Rank)
	}
	return at
}

func (l *lister) takes(pkg string) bool {
	return l.search.Matches(pkg) && l.query.Takes(l.query.Owner, pkg)
}

// versions reads versions by the end of a statement.
func (l *lister) versions(ctx context.Context, end string, args ...any) ([]listedVersion, error) {
	rows, err := l.Query(ctx, `SELECT `+versionColumns+`, p.key FROM {s}.version v
		JOIN {s}.package p ON p.id = v.package_id JOIN {s}.owner o ON o.id = v.owner_id WHERE `+end, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v listedVersion, err error) {
		v.VersionInfo, err = scanVersion(row, &v.key)
		return v, err
	})
}

// page reads the published versions of the page, and one that tells that there are more, by
// a condition with one argument.
func (l *lister) page(ctx context.Context, condition string, of any) ([]listedVersion, error) {
	return l.versions(ctx, condition+` AND NOT v.draft AND (v.created, v.id) < ($2, $3)
		ORDER BY v.created DESC, v.id DESC LIMIT $4 OFFSET $5`, of, l.after.created, l.after.id, l.size+1, l.skip)
}

// afterRanks comes after every rank: ranks are ASCII.
const afterRanks = "\xff"

// ofPackage reads versions of one package.
func (l *lister) ofPackage(ctx context.Context) (found []listedVersion, total int64, err error) {
	if !l.takes(l.query.Package) {
		return nil, 0, nil
	}
	var id int64
	err = l.QueryRow(ctx, `SELECT id, versions FROM {s}.package WHERE owner_id = $1 AND key = $2`, l.owner.id, l.query.Package).Scan(&id, &total)
	if isNone(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if !l.byRank {
		found, err = l.page(ctx, `v.package_id = $1`, id)
		return found, total, err
	}
	from, to := []byte(l.query.Ranks.From), []byte(cmp.Or(l.query.Ranks.To, afterRanks))
	found, err = l.versions(ctx, `v.package_id = $1 AND NOT v.draft AND v.rank <> '' AND v.rank >= $2 AND v.rank < $3
		AND (v.rank > $4 OR v.rank = $4 AND (v.created, v.id) < ($5, $6))
		ORDER BY v.rank, v.created DESC, v.id DESC LIMIT $7 OFFSET $8`, id, from, to, l.after.rank, l.after.created, l.after.id, l.size+1, l.skip)
	return found, total, err
}

// drafts reads all drafts of an owner, which are few.
func (l *lister) drafts(ctx context.Context) (found []listedVersion, total int64, err error) {
	all, err := l.versions(ctx, `v.draft AND v.owner_id = $1 ORDER BY v.created DESC, v.id DESC`, l.owner.id)
	for _, version := range all {
		if !l.takes(version.key) || l.query.Package != "" && version.key != l.query.Package {
			continue
		}
		total++
		if at := l.at(version); at.created > l.after.created || at.created == l.after.created && at.id >= l.after.id {
			continue
		}
		found = append(found, version)
	}
	found = found[min(int64(len(found)), l.skip):]
	return found[:min(len(found), l.size+1)], total, err
}

// mergedVersions is how many versions of several packages are sorted at most.
const mergedVersions = 10_000

// ofSome reads versions of the packages that are wanted: sorts theirs if they are few, and
// reads all of the owner's if they are so many that it has enough of them soon.
func (l *lister) ofSome(ctx context.Context) (found []listedVersion, total int64, err error) {
	ids := []int64{}
	err = eachPackage(ctx, l.Reader, l.owner.id, "", func(p listedPackage) bool {
		if l.takes(p.key) {
			total += p.info.Versions
			ids = append(ids, p.id)
		}
		return true
	})
	if err != nil || total == 0 {
		return nil, total, err
	}
	if total <= mergedVersions {
		found, err = l.page(ctx, `v.package_id = ANY ($1)`, ids)
		return found, total, err
	}
	skip := l.skip
	for at := l.after; len(found) <= l.size; {
		some, err := l.versions(ctx, `v.owner_id = $1 AND NOT v.draft AND (v.created, v.id) < ($2, $3)
			ORDER BY v.created DESC, v.id DESC LIMIT $4`, l.owner.id, at.created, at.id, chunk)
		if err != nil {
			return nil, 0, err
		}
		for _, version := range some {
			if !l.takes(version.key) {
				continue
			}
			if skip--; skip < 0 && len(found) <= l.size {
				found = append(found, version)
			}
		}
		if len(some) < chunk {
			break
		}
		at = l.at(some[len(some)-1])
	}
	return found, total, nil
}

// Foremost implements store.Catalog.
func (s *Store) Foremost(ctx context.Context, owner, pkg string) (first store.Foremost, err error) {
	owner, pkg = store.Fold(owner), store.Fold(pkg)
	if !isName(owner, pkg) {
		return first, s.absent(ctx, store.ErrPackageNotFound)
	}
	found := false
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		var ownerName, packageName, newest string
		var created int64
		var highest *string
		var rank []byte
		err := from.QueryRow(ctx, `SELECT o.name, p.name, n.name, n.created, h.name, h.rank FROM {s}.owner o JOIN {s}.package p ON p.owner_id = o.id
			JOIN LATERAL (SELECT name, created FROM {s}.version WHERE package_id = p.id AND NOT draft ORDER BY created DESC, id DESC LIMIT 1) n ON true
			LEFT JOIN LATERAL (SELECT name, rank FROM {s}.version WHERE package_id = p.id AND NOT draft AND rank <> ''
				ORDER BY rank, created DESC, id DESC LIMIT 1) h ON true
			WHERE o.key = $1 AND p.key = $2`, owner, pkg).Scan(&ownerName, &packageName, &newest, &created, &highest, &rank)
		if isNone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		first = store.Foremost{Newest: store.VersionRef{Owner: ownerName, Package: packageName, Version: newest}, Created: database.TimeOf(created)}
		if highest != nil {
			first.Highest = store.VersionRef{Owner: ownerName, Package: packageName, Version: *highest}
			first.Rank = string(rank)
		}
		return nil
	})
	if err == nil && !found {
		err = store.ErrPackageNotFound
	}
	return first, err
}
