package pages

import (
	"cmp"
	"errors"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// make makes the page of the folder: its template and what that gets, with at most so many
// rows and bytes of texts.
func (q *request) make(rows, texts int) (name string, page any, err error) {
	switch q.at.level {
	case levelRegistry:
		page, err = q.owners(rows)
		return "owners.html", page, err
	case levelOwner, levelType:
		page, err = q.packages(rows)
		return "packages.html", page, err
	case levelPackage:
		page, err = q.versions(rows)
		return "versions.html", page, err
	}
	page, err = q.version(rows, texts)
	return "version.html", page, err
}

// value is a parameter of the page's URL.
func (q *request) value(name string) string { return q.r.URL.Query().Get(name) }

// paging are the links of a page to others. The pairs are the parameters that stay.
func (q *request) paging(next string, pairs ...string) Paging {
	var links Paging
	if q.value("after") != "" {
		links.First = query(pairs...)
	}
	if next != "" {
		links.Next = query(append(pairs, "after", next)...)
	}
	return links
}

func (q *request) moment(at time.Time) Moment { return Moment{at, q.reg.Now()} }

func (q *request) owners(rows int) (*Owners, error) {
	found, err := q.reg.Owners(q.r.Context(), store.OwnerQuery{Selection: q.selection, After: q.value("after"), Limit: rows})
	if err != nil {
		return nil, err
	}
	page := &Owners{Frame: q.frame(), Paging: q.paging(found.Next)}
	for _, owner := range found.Owners {
		page.Rows = append(page.Rows, OwnerRow{
			Link:     Link{owner.Name, segment(owner.Name) + "/"},
			Badges:   Badges{Private: q.visit.PublicExtent(owner.Name) == store.ExtentNone},
			Packages: Count(owner.Packages),
		})
	}
	if len(page.Rows) == 0 && q.value("after") == "" {
		page.Publish = publishing(q.visit.URL()+"/", q.visit.User())
	}
	return page, nil
}

func (q *request) packages(rows int) (*Packages, error) {
	search := q.value("q")
	found, err := q.reg.Packages(q.r.Context(), store.PackageQuery{
		Selection: q.selection, Owner: q.at.Owner, Search: search, After: q.value("after"), Limit: rows,
	})
	if err != nil {
		return nil, err
	}
	if len(found.Packages) > 0 {
		q.at.Owner = found.Packages[0].Owner // as first spelled
	}
	page := &Packages{
		Frame: q.frame(), Owner: q.at.Owner, Search: Search{Query: search, Of: "packages"}, Paging: q.paging(found.Next, "q", search),
		Badges: Badges{Private: q.visit.PublicExtent(q.at.Owner) == store.ExtentNone},
	}
	folder := ""
	if q.at.level == levelOwner {
		folder = packageType + "/"
	}
	for _, pkg := range found.Packages {
		row, err := q.packageRow(pkg, folder)
		if err != nil {
			return nil, err
		}
		page.Rows = append(page.Rows, row)
	}
	if len(page.Rows) == 0 && search == "" && q.value("after") == "" {
		if q.visit.Extent(store.ActionWrite, q.at.Owner) == store.ExtentNone {
			return nil, store.ErrPackageNotFound
		}
		page.Publish = publishing(q.visit.URL()+"/", q.at.Owner)
	}
	return page, nil
}

// packageRow is a package with its newest version. The folder is that of the owner's
// packages, relative to the page.
func (q *request) packageRow(pkg store.PackageInfo, folder string) (PackageRow, error) {
	row := PackageRow{
		Link:     Link{pkg.Name, folder + segment(pkg.Name) + "/"},
		Badges:   Badges{Private: !q.visit.IsPublic(pkg.Owner, pkg.Name)},
		Versions: Count(pkg.Versions),
	}
	newest, err := q.reg.Versions(q.r.Context(), store.VersionQuery{Selection: q.selection, Owner: pkg.Owner, Package: pkg.Name, Limit: 1})
	if err != nil || len(newest.Versions) == 0 {
		return row, err
	}
	version := newest.Versions[0]
	row.Newest = Link{version.Version, row.URL + segment(version.Version) + "/"}
	row.Updated = q.moment(version.Created)
	return row, nil
}

func (q *request) versions(rows int) (*Versions, error) {
	after := q.value("after")
	found, err := q.reg.Versions(q.r.Context(), store.VersionQuery{
		Selection: q.selection, Owner: q.at.Owner, Package: q.at.Package, After: store.Cursor(after), Limit: rows, Total: true,
	})
	if err != nil {
		return nil, err
	}
	if len(found.Versions) == 0 && after == "" {
		return nil, store.ErrPackageNotFound
	}
	if len(found.Versions) > 0 {
		q.at.Owner, q.at.Package = found.Versions[0].Owner, found.Versions[0].Package // as first spelled
	}
	page := &Versions{
		Frame: q.frame(), Owner: q.at.Owner, Package: q.at.Package, Total: Count(found.Total), Paging: q.paging(string(found.Next)),
		Badges: Badges{Private: !q.visit.IsPublic(q.at.Owner, q.at.Package)},
	}
	for _, version := range found.Versions {
		page.Rows = append(page.Rows, VersionRow{
			Link:      Link{version.Version, segment(version.Version) + "/"},
			Badges:    Badges{PreRelease: isPreRelease(version.Version)},
			Published: q.moment(version.Created),
			Publisher: version.Creator,
			Files:     Count(version.Files),
			Size:      Size(version.Bytes),
		})
	}
	return page, nil
}

// isPreRelease tells whether a version says so of itself (Semantic Versioning 2.0.0,
// section 9).
func isPreRelease(version string) bool {
	parsed, err := semver.NewVersion(version)
	return err == nil && parsed.Prerelease() != ""
}

func (q *request) version(rows, room int) (*Version, error) {
	after := q.value("after")
	found, err := q.reg.Files(q.r.Context(), store.FileQuery{VersionRef: q.at.VersionRef, After: after, Limit: rows})
	if err != nil {
		return nil, err
	}
	version := found.Version
	q.at.VersionRef = version.VersionRef // as first spelled
	page := &Version{
		Frame: q.frame(), Owner: version.Owner, Package: version.Package, Version: version.Version,
		Badges:    Badges{Private: !q.visit.IsPublic(version.Owner, version.Package), PreRelease: isPreRelease(version.Version)},
		Published: q.moment(version.Created), Publisher: version.Creator,
		Files: Count(version.Files), Size: Size(version.Bytes), Downloads: -1,
		Paging: q.paging(found.Next),
	}
	for _, file := range found.Files {
		page.Rows = append(page.Rows, FileRow{
			Link: Link{file.File, segment(file.File)}, Published: q.moment(file.Created), Publisher: file.Creator, Size: Size(file.Size),
			Downloads: -1, SHA256: file.Digest.String(), Kind: kindOf(file.File), Get: query("after", after, "file", file.File) + "#get",
		})
	}
	if page.Get, err = q.get(page); err != nil {
		return nil, err
	}
	if after == "" {
		page.Texts = q.texts(page.Rows, room)
	}
	return page, nil
}

// get returns the commands for the file that was asked for, else for the first that is what
// the version is about.
func (q *request) get(page *Version) (*Get, error) {
	file, digest, err := q.chosen(page)
	if file == "" || err != nil {
		return nil, err
	}
	user := ""
	if page.Private {
		user = cmp.Or(q.visit.User(), "NAME")
	}
	url := q.visit.URL() + "/" + q.at.path() + segment(file)
	return &Get{file, downloads(url, file, digest, user)}, nil
}

func (q *request) chosen(page *Version) (file, digest string, err error) {
	if asked := q.value("file"); asked != "" {
		found, err := q.reg.Lookup(q.r.Context(), store.Ref{VersionRef: q.at.VersionRef, File: asked})
		if err == nil {
			return found.File, found.Digest.String(), nil
		}
		if !errors.Is(err, store.ErrFileNotFound) {
			return "", "", err
		}
	}
	for _, row := range page.Rows {
		if row.Kind == "" && !isText(row.Text) {
			return row.Text, row.SHA256, nil
		}
	}
	if len(page.Rows) == 0 {
		return "", "", nil
	}
	return page.Rows[0].Text, page.Rows[0].SHA256, nil
}
