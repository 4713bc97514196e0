package memory

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/search"
)

// The catalogue looks at every version each time, where a real store has indexes and sums.

// Owners implements store.Catalog.
func (s *metadataStore) Owners(ctx context.Context, q store.OwnerQuery) (page store.OwnerPage, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return page, err
	}
	defer leave()
	owners := make(map[string]store.OwnerInfo)
	for key, pkg := range m.packages(q.Selection) {
		owner := owners[key.Owner]
		owner.Name = pkg.Owner
		owner.Packages++
		owner.Add(pkg.Sums)
		owners[key.Owner] = owner
	}
	names := slices.Sorted(maps.Keys(owners))
	names, page.Next = pageOf(names, store.Fold(q.After), q.Limit)
	for _, name := range names {
		page.Owners = append(page.Owners, owners[name])
	}
	return page, nil
}

// Packages implements store.Catalog.
func (s *metadataStore) Packages(ctx context.Context, q store.PackageQuery) (page store.PackagePage, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return page, err
	}
	defer leave()
	found := make(map[string]store.PackageInfo)
	for key, pkg := range m.packages(q.Selection) {
		if key.Owner == store.Fold(q.Owner) && search.Matches(q.Search, key.Package) {
			found[key.Package] = pkg
		}
	}
	names := slices.Sorted(maps.Keys(found))
	names, page.Next = pageOf(names, store.Fold(q.After), q.Limit)
	for _, name := range names {
		page.Packages = append(page.Packages, found[name])
	}
	return page, nil
}

// packages sums up those that are selected, by folded names.
func (m *state) packages(selected store.Selection) map[store.VersionRef]store.PackageInfo {
	found := make(map[store.VersionRef]store.PackageInfo)
	for ref, v := range m.versions {
		if v.draft || !selected.Takes(ref.Owner, ref.Package) {
			continue
		}
		key := store.VersionRef{Owner: ref.Owner, Package: ref.Package}
		pkg := found[key]
		pkg.Owner, pkg.Name = v.ref.Owner, v.ref.Package
		info := v.info()
		pkg.Add(store.Sums{Versions: 1, Files: info.Files, Bytes: info.Bytes})
		found[key] = pkg
	}
	return found
}

// pageOf returns the names of a page out of sorted ones, and the last if there are more.
func pageOf(names []string, after string, limit int) (page []string, next string) {
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	names = names[from:]
	if size := store.PageSize(limit); len(names) > size {
		return names[:size], names[size-1]
	}
	return names, ""
}

// Versions implements store.Catalog.
func (s *metadataStore) Versions(ctx context.Context, q store.VersionQuery) (page store.VersionPage, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return page, err
	}
	defer leave()
	var found []store.VersionInfo
	for ref, v := range m.versions {
		if ref.Owner == store.Fold(q.Owner) && (q.Package == "" || ref.Package == store.Fold(q.Package)) &&
			v.draft == q.Drafts && search.Matches(q.Search, ref.Package) && q.Takes(ref.Owner, ref.Package) {
			found = append(found, v.info())
		}
	}
	if q.Total {
		page.Total = int64(len(found))
	}
	byRank := q.Order == store.HighestFirst && q.Package != "" && !q.Drafts
	orderKey := orderKey
	if byRank {
		orderKey = rankKey
		found = slices.DeleteFunc(found, func(v store.VersionInfo) bool { return v.Rank == "" || !q.Ranks.Has(v.Rank) })
	}
	slices.SortFunc(found, func(a, b store.VersionInfo) int { return strings.Compare(orderKey(a), orderKey(b)) })
	if after, err := hex.DecodeString(string(q.After)); err == nil && len(after) >= 16 && byRank == (len(after) > 16) {
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

// orderKey sorts versions newest first.
func orderKey(v store.VersionInfo) string {
	key := binary.BigEndian.AppendUint64(nil, ^(uint64(v.Created.UnixNano()) ^ 1<<63))
	return string(binary.BigEndian.AppendUint64(key, ^uint64(v.ID)))
}

// rankKey sorts versions highest first.
func rankKey(v store.VersionInfo) string { return v.Rank + "\x00" + orderKey(v) }

// Foremost implements store.Catalog.
func (s *metadataStore) Foremost(ctx context.Context, owner, pkg string) (first store.Foremost, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return first, err
	}
	defer leave()
	var newest, highest store.VersionInfo
	for _, key := range m.versionsOf(owner, pkg) {
		v := m.versions[key].info()
		if v.Draft {
			continue
		}
		if newest.ID == 0 || orderKey(v) < orderKey(newest) {
			newest = v
		}
		if v.Rank != "" && (highest.ID == 0 || rankKey(v) < rankKey(highest)) {
			highest = v
		}
	}
	if newest.ID == 0 {
		return first, store.ErrPackageNotFound
	}
	return store.Foremost{Newest: newest.VersionRef, Created: newest.Created, Highest: highest.VersionRef, Rank: highest.Rank}, nil
}

func (v *version) info() store.VersionInfo {
	info := store.VersionInfo{
		VersionRef: v.ref, ID: v.id, Creator: v.creator, Created: v.created, Rank: v.rank,
		Draft: v.draft, Downloads: v.downloads, Downloaded: v.downloaded,
	}
	for _, file := range v.files {
		info.Files++
		info.Bytes += file.Size
	}
	return info
}

// FindVersion implements store.Catalog.
func (s *metadataStore) FindVersion(ctx context.Context, ref store.VersionRef) (store.VersionInfo, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.VersionInfo{}, err
	}
	defer leave()
	v := m.versions[ref.Key()]
	if v == nil || v.draft {
		return store.VersionInfo{}, store.ErrPackageNotFound
	}
	return v.info(), nil
}

// DraftsBefore implements store.Drafts.
func (s *metadataStore) DraftsBefore(ctx context.Context, before time.Time, limit int) (refs []store.VersionRef, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []store.VersionInfo
	for _, v := range m.versions {
		if v.draft && v.created.Before(before) {
			found = append(found, v.info())
		}
	}
	slices.SortFunc(found, func(a, b store.VersionInfo) int { return strings.Compare(orderKey(b), orderKey(a)) })
	for _, v := range found[:min(len(found), limit)] {
		refs = append(refs, v.VersionRef)
	}
	return refs, nil
}

// Files implements store.Catalog.
func (s *metadataStore) Files(ctx context.Context, q store.FileQuery) (page store.FilePage, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return page, err
	}
	defer leave()
	v := m.versions[q.VersionRef.Key()]
	if v == nil || v.draft != q.Draft {
		return page, store.ErrPackageNotFound
	}
	page.Version = v.info()
	names := slices.Sorted(maps.Keys(v.files))
	names, page.Next = pageOf(names, store.Fold(q.After), q.Limit)
	for _, name := range names {
		page.Files = append(page.Files, m.shown(v, v.files[name]))
	}
	return page, nil
}

var _ store.Catalog = (*metadataStore)(nil)
