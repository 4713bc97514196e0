package badger

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Owners implements store.Catalog.
func (s *Store) Owners(ctx context.Context, q store.OwnerQuery) (page store.OwnerPage, err error) {
	err = s.view(ctx, func(r reader) error {
		page = store.OwnerPage{}
		var owner store.OwnerInfo
		var last, pkg string
		add := func() bool {
			if owner.Packages == 0 {
				return true
			}
			if len(page.Owners) == store.PageSize(q.Limit) {
				page.Next = store.Fold(page.Owners[len(page.Owners)-1].Name)
				return false
			}
			page.Owners = append(page.Owners, owner)
			owner = store.OwnerInfo{}
			return true
		}
		err := r.eachVersion(ctx, nil, func(v versionRecord) error {
			folded := store.Fold(v.owner)
			if folded <= store.Fold(q.After) {
				return nil
			}
			if folded != last {
				if !add() {
					return errEnough
				}
				last, pkg = folded, ""
			}
			name := store.Fold(v.name)
			if !q.Takes(folded, name) {
				return nil
			}
			if name != pkg {
				owner.Packages++
				pkg = name
			}
			owner.Name = v.owner
			owner.Add(v.sums())
			return nil
		})
		if err == nil {
			add()
		}
		return unlessEnough(err)
	})
	return page, err
}

func (v *versionRecord) sums() store.Sums {
	return store.Sums{Versions: 1, Files: int64(v.files), Bytes: int64(v.bytes)}
}

// unlessEnough returns the error of a scan that may have been ended.
func unlessEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// eachVersion calls fn for every version, or those of an owner, in the order of their keys.
func (r reader) eachVersion(ctx context.Context, owner []byte, fn func(versionRecord) error) error {
	return r.scan(append([]byte(versionPrefix), owner...), nil, func(key, value []byte) error {
		var version versionRecord
		return firstError(
			ctx.Err,
			func() error { return decode(key, value, &version) },
			func() error { return fn(version) },
		)
	})
}

// Packages implements store.Catalog.
func (s *Store) Packages(ctx context.Context, q store.PackageQuery) (page store.PackagePage, err error) {
	err = s.view(ctx, func(r reader) error {
		page = store.PackagePage{}
		return unlessEnough(r.eachVersion(ctx, appendName(nil, store.Fold(q.Owner)), func(v versionRecord) error {
			name := store.Fold(v.name)
			if name <= store.Fold(q.After) || !store.Matches(q.Search, name) || !q.Takes(store.Fold(v.owner), name) {
				return nil
			}
			known := len(page.Packages)
			if known == 0 || store.Fold(page.Packages[known-1].Name) != name {
				if known == store.PageSize(q.Limit) {
					page.Next = store.Fold(page.Packages[known-1].Name)
					return errEnough
				}
				page.Packages = append(page.Packages, store.PackageInfo{Owner: v.owner, Name: v.name})
				known++
			}
			page.Packages[known-1].Add(v.sums())
			return nil
		}))
	})
	return page, err
}

// Versions implements store.Catalog.
func (s *Store) Versions(ctx context.Context, q store.VersionQuery) (page store.VersionPage, err error) {
	var found []store.VersionInfo
	err = s.view(ctx, func(r reader) error {
		found = nil
		return r.eachVersion(ctx, appendName(nil, store.Fold(q.Owner)), func(v versionRecord) error {
			name := store.Fold(v.name)
			if (q.Package == "" || store.Fold(q.Package) == name) && store.Matches(q.Search, name) && q.Takes(store.Fold(v.owner), name) {
				found = append(found, v.info())
			}
			return nil
		})
	})
	if err != nil {
		return page, err
	}
	slices.SortFunc(found, func(a, b store.VersionInfo) int { return strings.Compare(orderKey(a), orderKey(b)) })
	if q.Total {
		page.Total = int64(len(found))
	}
	if after, err := hex.DecodeString(string(q.After)); err == nil && len(after) == len(orderKey(store.VersionInfo{})) {
		for len(found) > 0 && orderKey(found[0]) <= string(after) {
			found = found[1:]
		}
	}
	found = found[min(int64(len(found)), max(0, q.Skip)):]
	if size := store.PageSize(q.Limit); len(found) > size {
		found = found[:size]
		page.Next = store.Cursor(hex.EncodeToString([]byte(orderKey(found[size-1]))))
	}
	page.Versions = found
	return page, nil
}

func (v *versionRecord) info() store.VersionInfo {
	return store.VersionInfo{
		VersionRef: store.VersionRef{Owner: v.owner, Package: v.name, Version: v.version},
		ID:         int64(v.id), Creator: v.creator, Created: v.created,
		Files: int64(v.files), Bytes: int64(v.bytes),
	}
}

// FindVersion implements store.Catalog.
func (s *Store) FindVersion(ctx context.Context, ref store.VersionRef) (info store.VersionInfo, err error) {
	err = s.find(ctx, func(r reader) error {
		version, err := findVersion(r, ref)
		info = version.info()
		return err
	})
	return info, err
}

func findVersion(r reader, ref store.VersionRef) (version versionRecord, err error) {
	found, err := r.get(versionKey(ref), &version)
	if err != nil || !found {
		return version, orNotFound(err, store.ErrPackageNotFound)
	}
	return version, nil
}

// Files implements store.Catalog.
func (s *Store) Files(ctx context.Context, q store.FileQuery) (page store.FilePage, err error) {
	err = s.view(ctx, func(r reader) error {
		version, err := findVersion(r, q.VersionRef)
		if err != nil {
			return err
		}
		page = store.FilePage{Version: version.info()}
		files, err := filesAfter(r, version.id, store.Fold(q.After), store.PageSize(q.Limit)+1)
		if err != nil {
			return err
		}
		if size := store.PageSize(q.Limit); len(files) > size {
			files = files[:size]
			page.Next = store.Fold(files[size-1].name)
		}
		for _, file := range files {
			blob, err := findBlob(r, file.digest)
			if err := firstError(ctx.Err, func() error { return err }); err != nil {
				return err
			}
			page.Files = append(page.Files, published(version, file, blob.Locator))
		}
		return nil
	})
	return page, err
}

// filesAfter returns the next files of a version after a folded name.
func filesAfter(r reader, id uint64, last string, limit int) ([]fileRecord, error) {
	var files []fileRecord
	from := filesKey(id)
	if last != "" {
		from = append(fileKey(id, last), 0)
	}
	err := r.scan(filesKey(id), from, func(key, value []byte) error {
		if len(files) == limit {
			return errEnough
		}
		var file fileRecord
		if err := decode(key, value, &file); err != nil {
			return err
		}
		files = append(files, file)
		return nil
	})
	return files, unlessEnough(err)
}

// orderKey sorts versions newest first.
func orderKey(v store.VersionInfo) string { return string(newestFirst(v.Created, uint64(v.ID))) }
