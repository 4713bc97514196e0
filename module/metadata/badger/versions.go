package badger

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/names"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/search"
)

// Versions implements store.Catalog. What is asked for is read off one index, or off those
// of a few packages.
func (s *Store) Versions(ctx context.Context, q store.VersionQuery) (page store.VersionPage, err error) {
	q.Owner, q.Package = store.Fold(q.Owner), store.Fold(q.Package)
	err = s.view(ctx, func(r reader) error {
		l := lister{reader: r, ctx: ctx, query: q, search: search.New(q.Search), alive: make(map[uint64]bool)}
		var err error
		page, err = l.list()
		return err
	})
	return page, err
}

// lister makes one page of versions.
type lister struct {
	reader
	ctx   context.Context
	query store.VersionQuery // names folded
	owner ownerRecord

	search search.Search
	alive  map[uint64]bool // packages that were looked up, by id: whether they are there
}

// listed is an entry of an index: where it is in the order, and which version.
type listed struct {
	order string
	entry indexRecord
}

func (l *lister) list() (page store.VersionPage, err error) {
	if found, err := l.get(ownerKey(l.query.Owner), &l.owner); err != nil || !found {
		return page, err
	}
	if l.query.Drafts {
		return l.drafts()
	}
	var entries []listed
	switch {
	case l.query.Package != "":
		entries, page.Total, err = l.ofPackage()
	case l.query.Search == "" && l.query.IsWhole(l.query.Owner):
		page.Total = int64(l.owner.published.versions)
		entries, err = l.walk(timesKey(l.query.Owner), l.skip(), l.size(), nil)
	default:
		entries, page.Total, err = l.ofSome()
	}
	if err != nil {
		return page, err
	}
	if !l.query.Total {
		page.Total = 0
	}
	return l.fill(page, entries)
}

// size is how many entries a page has, and one that tells that there are more.
func (l *lister) size() int64 { return int64(store.PageSize(l.query.Limit)) + 1 }

// farthest is more than there can be.
const farthest = 1 << 40

func (l *lister) skip() int64 { return min(max(0, l.query.Skip), farthest) }

func (l *lister) takes(pkg string) bool {
	return l.search.Matches(pkg) && l.query.Takes(l.query.Owner, pkg)
}

// ofPackage reads the index of one package.
func (l *lister) ofPackage() (entries []listed, total int64, err error) {
	var pkg packageRecord
	found, err := l.get(packageKey(l.query.Owner, l.query.Package), &pkg)
	if err != nil || !found || !l.takes(l.query.Package) {
		return nil, 0, err
	}
	l.alive[pkg.id] = true
	index := newestPrefix
	if l.byRank() {
		index = rankPrefix
	}
	entries, err = l.walk(idKey(index, pkg.id), l.skip(), l.size(), nil)
	return entries, int64(pkg.published.versions), err
}

func (l *lister) byRank() bool {
	return l.query.Order == store.HighestFirst && l.query.Package != ""
}

const (
	// matchCost is how many entries of an index are read in the time in which another index
	// is begun.
	matchCost = 50

	// mergedEntries is how many entries of several indexes are in memory at most.
	mergedEntries = 20_000
)

// ofSome reads the indexes of the packages that are wanted, or that of the owner if they
// are so many that it has enough of them soon.
func (l *lister) ofSome() (entries []listed, total int64, err error) {
	var ids []uint64
	var cost int64
	needed := l.skip() + l.size()
	err = l.eachNamed(l.ctx, l.query.Owner, func(p names.Package) {
		if !l.takes(p.Name) {
			return
		}
		total += int64(p.Versions)
		if cost += matchCost + min(int64(p.Versions), needed); cost <= mergedEntries {
			ids = append(ids, p.ID)
		}
	})
	if err != nil || total == 0 {
		return nil, total, err
	}
	passed := float64(min(needed, total)) * float64(l.owner.published.versions) / float64(total)
	if cost > mergedEntries || passed <= float64(cost) {
		entries, err = l.walk(timesKey(l.query.Owner), l.skip(), l.size(), l.takes)
		return entries, total, err
	}
	entries, err = l.merge(ids, needed)
	return entries[min(int64(len(entries)), l.skip()):], total, err
}

// merge returns the first entries of the indexes of packages. Of each it reads few at first,
// and as many as are needed where all of these come before the last entry that is wanted.
func (l *lister) merge(ids []uint64, needed int64) ([]listed, error) {
	parts := make([][]listed, len(ids))
	read := func(i int, most int64) (err error) {
		parts[i], err = l.walk(idKey(newestPrefix, ids[i]), 0, most, nil)
		return err
	}
	first := func() []listed {
		entries := slices.Concat(parts...)
		slices.SortFunc(entries, func(a, b listed) int { return strings.Compare(a.order, b.order) })
		return entries[:min(int64(len(entries)), needed)]
	}
	few := min(needed, 2*needed/int64(len(ids))+2)
	for i, id := range ids {
		l.alive[id] = true
		if err := read(i, few); err != nil {
			return nil, err
		}
	}
	entries := first()
	for i, part := range parts {
		isCut := int64(len(part)) == few && few < needed
		if isCut && (int64(len(entries)) < needed || part[few-1].order < entries[needed-1].order) {
			if err := read(i, needed); err != nil {
				return nil, err
			}
		}
	}
	return first(), nil
}

// span is where in the order of an index the entries begin that are wanted, and what comes
// after them: empty when nothing does.
func (l *lister) span() (from, to string) {
	if l.byRank() {
		from, to = l.query.Ranks.From, l.query.Ranks.To
	}
	after, err := hex.DecodeString(string(l.query.After))
	if err == nil && len(after) >= orderSize && l.byRank() == (len(after) > orderSize) {
		from = max(from, string(append(after, 0)))
	}
	return from, to
}

// walk reads entries of an index after the query's cursor, of packages that are there and
// that takes does not leave out. The first of them are skipped.
func (l *lister) walk(index []byte, skip, size int64, takes func(pkg string) bool) (entries []listed, err error) {
	from, to := l.span()
	err = l.scan(index, append(slices.Clip(index), from...), func(key, value []byte) error {
		order := string(key[len(index):])
		if int64(len(entries)) == size || to != "" && order >= to {
			return errEnough
		}
		var entry indexRecord
		if err := firstError(l.ctx.Err, func() error { return coding.Decode(key, value, &entry) }); err != nil {
			return err
		}
		if takes != nil && !takes(entry.name) {
			return nil
		}
		alive, err := l.isAlive(entry)
		if err != nil || !alive {
			return err
		}
		if skip--; skip < 0 {
			entries = append(entries, listed{order, entry})
		}
		return nil
	})
	return entries, unlessEnough(err)
}

// isAlive tells whether the package of an entry is there, and not deleted with entries left
// to clean up.
func (l *lister) isAlive(entry indexRecord) (alive bool, err error) {
	alive, known := l.alive[entry.packageID]
	if known {
		return alive, nil
	}
	deleted, err := l.isDeleted(entry.packageID)
	l.alive[entry.packageID] = !deleted
	return !deleted, err
}

// isDeleted tells whether a package of which an index has entries is deleted: then it has a
// tomb until they are cleaned up. Records of packages change with every publish, and are
// slower to read than a record that is not there.
func (r reader) isDeleted(packageID uint64) (bool, error) {
	return r.get(tombKey(packageID), new(tombRecord))
}

// fill reads the versions of a page.
func (l *lister) fill(page store.VersionPage, entries []listed) (store.VersionPage, error) {
	if size := store.PageSize(l.query.Limit); len(entries) > size {
		entries = entries[:size]
		page.Next = store.Cursor(hex.EncodeToString([]byte(entries[size-1].order)))
	}
	for _, listed := range entries {
		key := versionKey(listed.entry.packageID, listed.entry.version)
		var version versionRecord
		found, err := l.get(key, &version)
		if err != nil || !found {
			return page, orNotFound(err, coding.Damaged(key, "an index has it"))
		}
		page.Versions = append(page.Versions, version.info())
	}
	return page, nil
}
