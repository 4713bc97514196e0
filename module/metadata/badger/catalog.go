package badger

import (
	"context"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/names"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/search"
)

// Owners implements store.Catalog.
func (s *Store) Owners(ctx context.Context, q store.OwnerQuery) (page store.OwnerPage, err error) {
	err = s.view(ctx, func(r reader) error {
		page = store.OwnerPage{}
		var last string
		return unlessEnough(r.scan([]byte(ownerPrefix), afterName([]byte(ownerPrefix), q.After), func(key, value []byte) error {
			var owner ownerRecord
			if err := firstError(ctx.Err, func() error { return coding.Decode(key, value, &owner) }); err != nil {
				return err
			}
			name := nameOf(key, ownerPrefix)
			info, err := r.ownerInfo(ctx, name, owner, q.Selection)
			if err != nil || info.Packages == 0 {
				return err
			}
			if len(page.Owners) == store.PageSize(q.Limit) {
				page.Next = last
				return errEnough
			}
			page.Owners, last = append(page.Owners, info), name
			return nil
		}))
	})
	return page, err
}

// nameOf reads the last name out of a key.
func nameOf(key []byte, prefix string) string {
	return string(key[len(prefix) : len(key)-1])
}

// ownerInfo sums up what is selected of an owner.
func (r reader) ownerInfo(ctx context.Context, name string, owner ownerRecord, selected store.Selection) (store.OwnerInfo, error) {
	info := store.OwnerInfo{Name: owner.name}
	if selected.IsWhole(name) {
		info.Packages, info.Sums = int64(owner.packages), owner.published.sums()
		return info, nil
	}
	if selected.None != nil && selected.None(name) {
		return info, nil
	}
	err := r.eachPackage(ctx, name, "", func(pkg string, record packageRecord) error {
		if record.published.versions > 0 && selected.Select(name, pkg) {
			info.Packages++
			info.Add(record.published.sums())
		}
		return nil
	})
	return info, err
}

// eachPackage calls fn for the packages of an owner after one, in the order of their
// folded names.
func (r reader) eachPackage(ctx context.Context, owner, after string, fn func(name string, record packageRecord) error) error {
	prefix := packagesKey(owner)
	return r.scan(prefix, afterName(prefix, after), func(key, value []byte) error {
		var record packageRecord
		if err := firstError(ctx.Err, func() error { return coding.Decode(key, value, &record) }); err != nil {
			return err
		}
		return fn(string(key[len(prefix):len(key)-1]), record)
	})
}

// eachNamed calls fn for the packages of a folded owner that have something published, in no
// order. Their names are in memory where they were asked for before.
func (r reader) eachNamed(ctx context.Context, owner string, fn func(names.Package)) error {
	known, ok := r.db.names.Find(owner, r.seen)
	for _, p := range known {
		fn(p)
	}
	if ok {
		return nil
	}
	err := r.eachPackage(ctx, owner, "", func(name string, record packageRecord) error {
		if p := (names.Package{Name: name, ID: record.id, Versions: record.published.versions}); p.Versions > 0 {
			fn(p)
			known = names.Add(known, p)
		}
		return nil
	})
	if err == nil {
		r.db.names.Keep(owner, r.seen, known)
	}
	return err
}

// Packages implements store.Catalog.
func (s *Store) Packages(ctx context.Context, q store.PackageQuery) (page store.PackagePage, err error) {
	err = s.view(ctx, func(r reader) error {
		page = store.PackagePage{}
		var owner ownerRecord
		if found, err := r.get(ownerKey(q.Owner), &owner); err != nil || !found {
			return err
		}
		var last string
		add := func(name string, record packageRecord) error {
			if len(page.Packages) == store.PageSize(q.Limit) {
				page.Next = last
				return errEnough
			}
			info := store.PackageInfo{Owner: owner.name, Name: record.name, Sums: record.published.sums()}
			page.Packages, last = append(page.Packages, info), name
			return nil
		}
		folded := store.Fold(q.Owner)
		if q.Search != "" {
			return unlessEnough(r.eachMatch(ctx, folded, q, add))
		}
		return unlessEnough(r.eachPackage(ctx, folded, q.After, func(name string, record packageRecord) error {
			if record.published.versions == 0 || !q.Takes(folded, name) {
				return nil
			}
			return add(name, record)
		}))
	})
	return page, err
}

// eachMatch calls fn for the first packages of a page whose names contain what is searched for,
// and for the one after them.
func (r reader) eachMatch(ctx context.Context, owner string, q store.PackageQuery, fn func(name string, record packageRecord) error) error {
	search, after, most := search.New(q.Search), store.Fold(q.After), store.PageSize(q.Limit)+1
	var first []string // in order
	err := r.eachNamed(ctx, owner, func(p names.Package) {
		if p.Name <= after || len(first) == most && p.Name > first[most-1] || !search.Matches(p.Name) || !q.Takes(owner, p.Name) {
			return
		}
		at, _ := slices.BinarySearch(first, p.Name)
		first = slices.Insert(first, at, p.Name)
		first = first[:min(len(first), most)]
	})
	if err != nil {
		return err
	}
	for _, name := range first {
		var record packageRecord
		key := packageKey(owner, name)
		if found, err := r.get(key, &record); err != nil || !found {
			return orNotFound(err, coding.Damaged(key, "a list of names has it"))
		}
		if err := fn(name, record); err != nil {
			return err
		}
	}
	return nil
}

// FindVersion implements store.Catalog.
func (s *Store) FindVersion(ctx context.Context, ref store.VersionRef) (info store.VersionInfo, err error) {
	err = s.find(ctx, func(r reader) error {
		version, err := r.version(ref, false)
		info = version.info()
		return err
	})
	return info, err
}

// version reads the record of a draft, or of a published version. ErrPackageNotFound.
func (r reader) version(ref store.VersionRef, draft bool) (version versionRecord, err error) {
	var pkg packageRecord
	if found, err := r.get(packageKey(ref.Owner, ref.Package), &pkg); err != nil || !found {
		return version, orNotFound(err, store.ErrPackageNotFound)
	}
	if found, err := r.get(versionKey(pkg.id, ref.Version), &version); err != nil || !found || version.draft != draft {
		return versionRecord{}, orNotFound(err, store.ErrPackageNotFound)
	}
	return version, nil
}

func (v *versionRecord) info() store.VersionInfo {
	return store.VersionInfo{
		VersionRef: store.VersionRef{Owner: v.owner, Package: v.name, Version: v.version},
		ID:         int64(v.id), Creator: v.creator, Created: v.created, Rank: v.rank, Draft: v.draft,
		Files: int64(v.files), Bytes: int64(v.bytes),
		Downloads: int64(v.downloads.count), Downloaded: v.downloads.last,
	}
}

// Files implements store.Catalog.
func (s *Store) Files(ctx context.Context, q store.FileQuery) (page store.FilePage, err error) {
	err = s.view(ctx, func(r reader) error {
		version, err := r.version(q.VersionRef, q.Draft)
		if err != nil {
			return err
		}
		page = store.FilePage{Version: version.info()}
		size := store.PageSize(q.Limit)
		files, err := filesAfter(r, version.id, q.After, size+1)
		if err != nil {
			return err
		}
		if len(files) > size {
			files = files[:size]
			page.Next = store.Fold(files[size-1].name)
		}
		page.Files = make([]store.File, 0, len(files))
		for _, file := range files {
			blob, err := r.blobOf(&file)
			if err != nil {
				return err
			}
			page.Files = append(page.Files, published(version, file, *blob))
		}
		return ctx.Err()
	})
	return page, err
}

var _ store.Catalog = (*Store)(nil)
