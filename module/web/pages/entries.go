package pages

import (
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// lister lists the folder's entries for programs. A folder without any is not there, but
// for the registry itself.
func (q *request) lister() lister {
	switch q.at.level {
	case levelRegistry:
		return q.listOwners
	case levelOwner:
		return q.listType
	case levelType:
		return q.listPackages
	case levelPackage:
		return q.listVersions
	}
	return q.filesLister()
}

func (q *request) listOwners(after string) (entries []entry, next string, err error) {
	page, err := q.reg.Owners(q.r.Context(), store.OwnerQuery{Selection: q.selection, After: after, Limit: store.MaxPage})
	if err != nil {
		return nil, "", err
	}
	for _, owner := range page.Owners {
		entries = append(entries, entry{name: owner.Name, folder: true, size: owner.Bytes})
	}
	return entries, page.Next, nil
}

func (q *request) listType(string) (entries []entry, next string, err error) {
	page, err := q.reg.Packages(q.r.Context(), store.PackageQuery{Selection: q.selection, Owner: q.at.Owner, Limit: 1})
	if err != nil {
		return nil, "", err
	}
	if len(page.Packages) == 0 {
		return nil, "", store.ErrPackageNotFound
	}
	return []entry{{name: visit.PackageType, folder: true}}, "", nil
}

func (q *request) listPackages(after string) (entries []entry, next string, err error) {
	page, err := q.reg.Packages(q.r.Context(), store.PackageQuery{Selection: q.selection, Owner: q.at.Owner, After: after, Limit: store.MaxPage})
	if err != nil {
		return nil, "", err
	}
	if after == "" && len(page.Packages) == 0 {
		return nil, "", store.ErrPackageNotFound
	}
	for _, pkg := range page.Packages {
		entries = append(entries, entry{name: pkg.Name, folder: true, size: pkg.Bytes})
	}
	return entries, page.Next, nil
}

func (q *request) listVersions(after string) (entries []entry, next string, err error) {
	page, err := q.reg.Versions(q.r.Context(), store.VersionQuery{
		Selection: q.selection, Owner: q.at.Owner, Package: q.at.Package, After: store.Cursor(after), Limit: store.MaxPage,
	})
	if err != nil {
		return nil, "", err
	}
	if after == "" && len(page.Versions) == 0 {
		return nil, "", store.ErrPackageNotFound
	}
	for _, version := range page.Versions {
		entries = append(entries, entry{name: version.Version, folder: true, size: version.Bytes, modified: version.Created})
	}
	return entries, string(page.Next), nil
}

// filesLister lists the files of one version, and not those of another that takes its name
// meanwhile.
func (q *request) filesLister() lister {
	var id int64
	return func(after string) (entries []entry, next string, err error) {
		page, err := q.reg.Files(q.r.Context(), store.FileQuery{VersionRef: q.at.VersionRef, After: after, Limit: store.MaxPage})
		if err != nil {
			return nil, "", err
		}
		if after == "" {
			id = page.Version.ID
		} else if page.Version.ID != id {
			return nil, "", fmt.Errorf("%w: the version was published anew while it was listed", store.ErrPackageNotFound)
		}
		for _, file := range page.Files {
			entries = append(entries, entry{name: file.File, size: file.Size, modified: file.Created, sha256: file.Digest.String()})
		}
		return entries, page.Next, nil
	}
}
