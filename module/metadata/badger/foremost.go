package badger

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Foremost implements store.Catalog. What it finds is kept in memory with the record of
// the package, which every change of its versions writes.
func (s *Store) Foremost(ctx context.Context, owner, pkg string) (first store.Foremost, err error) {
	if err := ctx.Err(); err != nil {
		return first, err
	}
	if first, ok := s.recallForemost(owner, pkg); ok {
		return first, nil
	}
	err = s.find(ctx, func(r reader) error {
		record := new(packageRecord)
		key := packageKey(owner, pkg)
		if found, err := r.get(key, record); err != nil || !found || record.published.versions == 0 {
			return orNotFound(err, store.ErrPackageNotFound)
		}
		newest, found, err := r.first(idKey(newestPrefix, record.id), record.id)
		if err != nil || !found {
			return orNotFound(err, coding.Damaged(key, "no index has a version of it"))
		}
		highest, _, err := r.first(idKey(rankPrefix, record.id), record.id)
		if err != nil {
			return err
		}
		first = store.Foremost{Newest: newest.info().VersionRef, Created: newest.created, Highest: highest.info().VersionRef, Rank: highest.rank}
		record.foremost = &first
		s.cache.replace(key, record, r.seen)
		return nil
	})
	return first, err
}

func (s *Store) recallForemost(owner, pkg string) (first store.Foremost, ok bool) {
	if _, err := s.enter(); err != nil {
		return first, false
	}
	defer s.use.RUnlock()
	record, ok := s.cache.get(packageKey(owner, pkg)).(*packageRecord)
	if !ok || record.foremost == nil {
		return first, false
	}
	return *record.foremost, true
}

// first reads the version that an index of a package has first.
func (r reader) first(index []byte, packageID uint64) (version versionRecord, found bool, err error) {
	var entry indexRecord
	err = r.scan(index, nil, func(key, value []byte) error {
		found = true
		return firstError(func() error { return coding.Decode(key, value, &entry) }, func() error { return errEnough })
	})
	if err := unlessEnough(err); err != nil || !found {
		return version, found, err
	}
	key := versionKey(packageID, entry.version)
	if found, err = r.get(key, &version); err == nil && !found {
		err = coding.Damaged(key, "an index has it")
	}
	return version, found, err
}
