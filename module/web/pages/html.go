package pages

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// make makes the page of the folder: its template and what that gets, with at most so many
// rows and bytes of texts.
func (q *request) make(rows, texts int) (name string, page any, err error) {
	if q.r.URL.Query().Has(editWord) {
		if page, err := q.editing(rows); page != nil || err != nil {
			return "edit.html", page, err
		}
	}
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
func (q *request) paging(next string, pairs ...string) view.Paging {
	var links view.Paging
	if q.value("after") != "" {
		links.First = query(pairs...)
	}
	if next != "" {
		links.Next = query(append(pairs, "after", next)...)
	}
	return links
}

func (q *request) moment(at time.Time) view.Moment { return view.NewMoment(at, q.reg.Now()) }

func (q *request) owners(rows int) (*view.Owners, error) {
	found, err := q.reg.Owners(q.r.Context(), store.OwnerQuery{Selection: q.selection, After: q.value("after"), Limit: rows})
	if err != nil {
		return nil, err
	}
	page := &view.Owners{Frame: q.frame(), Paging: q.paging(found.Next)}
	for _, owner := range found.Owners {
		page.Rows = append(page.Rows, view.OwnerRow{
			Link:     view.Link{Text: owner.Name, URL: view.Segment(owner.Name) + "/"},
			Badges:   view.Badges{Private: q.visit.PublicExtent(owner.Name) == grant.ExtentNone},
			Packages: view.Count(owner.Packages),
		})
	}
	if len(page.Rows) == 0 && q.value("after") == "" {
		page.Publish = view.Publishing(q.visit.URL()+"/", "", q.visit.User())
	}
	return page, nil
}

func (q *request) packages(rows int) (page *view.Packages, err error) {
	search, possible := visit.Search(q.value("q"))
	var found store.PackagePage
	if possible {
		found, err = q.reg.Packages(q.r.Context(), store.PackageQuery{
			Selection: q.selection, Owner: q.at.Owner, Search: search, After: q.value("after"), Limit: rows,
		})
	}
	if err != nil {
		return nil, err
	}
	if len(found.Packages) > 0 {
		q.at.Owner = found.Packages[0].Owner // as first spelled
	}
	page = &view.Packages{
		Frame: q.frame(), Owner: q.at.Owner, Search: view.Search{Query: search, Of: "packages"}, Paging: q.paging(found.Next, "q", search),
		Badges: view.Badges{Private: q.visit.PublicExtent(q.at.Owner) == grant.ExtentNone},
	}
	folder := ""
	if q.at.level == levelOwner {
		folder = visit.PackageType + "/"
	}
	for _, pkg := range found.Packages {
		row, err := q.packageRow(pkg, folder)
		if err != nil {
			return nil, err
		}
		page.Rows = append(page.Rows, row)
	}
	if page.Drafts, err = q.drafts(folder, rows); err != nil {
		return nil, err
	}
	if len(page.Rows) == 0 && search == "" && q.value("after") == "" {
		if q.visit.Extent(grant.Write, q.at.Owner) == grant.ExtentNone {
			return nil, store.ErrPackageNotFound
		}
		page.Publish = view.Publishing(q.visit.URL()+"/", q.at.Owner, q.visit.User())
	}
	return page, nil
}

// packageRow is a package with its newest version. The folder is that of the owner's
// packages, relative to the page.
func (q *request) packageRow(pkg store.PackageInfo, folder string) (view.PackageRow, error) {
	row := view.PackageRow{
		Link:     view.Link{Text: pkg.Name, URL: folder + view.Segment(pkg.Name) + "/"},
		Badges:   view.Badges{Private: !q.visit.IsPublic(pkg.Owner, pkg.Name), Immutable: q.visit.IsImmutable(pkg.Owner, pkg.Name)},
		Versions: view.Count(pkg.Versions),
	}
	first, err := q.reg.Foremost(q.r.Context(), pkg.Owner, pkg.Name)
	if errors.Is(err, store.ErrPackageNotFound) { // deleted meanwhile
		return row, nil
	}
	row.Newest = view.Link{Text: first.Newest.Version, URL: row.URL + view.Segment(first.Newest.Version) + "/"}
	row.Updated = q.moment(first.Created)
	return row, err
}

// bySemver is the value of the parameter sort for the highest version first.
const bySemver = "semver"

func (q *request) versions(rows int) (*view.Versions, error) {
	after, sort := q.value("after"), ""
	query := store.VersionQuery{
		Selection: q.selection, Owner: q.at.Owner, Package: q.at.Package, After: store.Cursor(after), Limit: rows, Total: true,
	}
	if q.value("sort") == bySemver {
		sort, query.Order = bySemver, store.HighestFirst
	}
	found, err := q.reg.Versions(q.r.Context(), query)
	if err != nil {
		return nil, err
	}
	drafts, err := q.drafts("", rows)
	if err != nil {
		return nil, err
	}
	if found.Total == 0 && len(drafts) == 0 {
		return nil, store.ErrPackageNotFound
	}
	if len(found.Versions) > 0 {
		q.at.Owner, q.at.Package = found.Versions[0].Owner, found.Versions[0].Package // as first spelled
	}
	latest, err := q.latest()
	if err != nil {
		return nil, err
	}
	page := &view.Versions{
		Frame: q.frame(), Owner: q.at.Owner, Package: q.at.Package, Total: view.Count(found.Total),
		Badges:   view.Badges{Private: !q.visit.IsPublic(q.at.Owner, q.at.Package), Immutable: q.visit.IsImmutable(q.at.Owner, q.at.Package)},
		BySemver: sort != "", OrderURL: "./?sort=" + bySemver, Drafts: drafts,
		Paging: q.paging(string(found.Next), "sort", sort),
	}
	if page.BySemver {
		page.OrderURL = "./"
	}
	for _, version := range found.Versions {
		page.Rows = append(page.Rows, q.versionRow(version, latest))
	}
	return page, nil
}

// versionRow is a version among others of its package, of which one is the latest.
func (q *request) versionRow(version store.VersionInfo, latest string) view.VersionRow {
	return view.VersionRow{
		Link:      view.Link{Text: version.Version, URL: view.Segment(version.Version) + "/"},
		Badges:    view.Badges{PreRelease: versions.IsPreRelease(version.Rank), Latest: version.Version == latest},
		Published: q.moment(version.Created),
		Publisher: version.Creator,
		Files:     view.Count(version.Files),
		Size:      view.Size(version.Bytes),
	}
}

// latestWord in place of a version is the highest one.
const latestWord = "latest"

// latest returns the version that latest means in the package, empty for none. A version
// of that name comes first.
func (q *request) latest() (string, error) {
	found, err := q.reg.Resolve(q.r.Context(), store.VersionRef{Owner: q.at.Owner, Package: q.at.Package, Version: latestWord})
	if errors.Is(err, store.ErrPackageNotFound) {
		return "", nil
	}
	return found.Version, err
}

func (q *request) version(rows, room int) (*view.Version, error) {
	after := q.value("after")
	found, err := q.files(store.FileQuery{VersionRef: q.at.VersionRef, After: after, Limit: rows})
	if err != nil {
		return nil, err
	}
	version := found.Version
	q.at.VersionRef, q.draft = version.VersionRef, version.Draft // as first spelled
	latest, err := q.latest()
	if err != nil {
		return nil, err
	}
	page := &view.Version{
		Frame: q.frame(), Owner: version.Owner, Package: version.Package, Version: version.Version,
		Badges: view.Badges{
			Private: !q.visit.IsPublic(version.Owner, version.Package), Immutable: q.visit.IsImmutable(version.Owner, version.Package),
			PreRelease: versions.IsPreRelease(version.Rank), Latest: version.Version == latest && !version.Draft, Draft: version.Draft,
		},
		Published: q.moment(version.Created), Publisher: version.Creator,
		Files: view.Count(version.Files), Size: view.Size(version.Bytes), Downloads: view.Count(version.Downloads),
		Paging: q.paging(found.Next), Whole: q.whole(),
	}
	for _, file := range found.Files {
		page.Rows = append(page.Rows, view.FileRow{
			Link: view.Link{Text: file.File, URL: view.Segment(file.File)}, Published: q.moment(file.Created), Publisher: file.Creator, Size: view.Size(file.Size),
			Downloads: view.Count(file.Downloads), SHA256: file.Digest.String(), Kind: view.KindOf(file.File), Get: query("after", after, "file", file.File) + "#get",
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

// whole are links to all files of a version at once.
func (q *request) whole() (links []view.Link) {
	if q.pages.Archives {
		// The path of the version itself: the folder has no archive.
		version := "../" + view.Segment(q.at.Version)
		links = append(links, view.Link{Text: "tar", URL: version + "?archive=tar"}, view.Link{Text: "zip", URL: version + "?archive=zip"})
	}
	if q.pages.Sums != "" {
		links = append(links, view.Link{Text: q.pages.Sums, URL: view.Segment(q.pages.Sums)})
	}
	return links
}

// get returns the commands for the file that was asked for, else for the first that is what
// the version is about.
func (q *request) get(page *view.Version) (*view.Get, error) {
	file, digest, err := q.chosen(page)
	if file == "" || err != nil {
		return nil, err
	}
	user := ""
	if page.Private || page.Draft {
		user = cmp.Or(q.visit.User(), "NAME")
	}
	base := q.visit.URL() + "/"
	get := &view.Get{File: file, Commands: view.Downloads(base+q.at.path()+view.Segment(file), file, digest, user)}
	if page.Latest && q.pages.Selects != nil && q.pages.Selects(latestWord) {
		of := folder{levelPackage, q.at.VersionRef}
		url := base + of.path() + latestWord + "/" + ofAnyVersion(file, q.at.Version)
		get.Commands = append(get.Commands, view.Downloads(url, file, digest, user)[0])
		get.Commands[len(get.Commands)-1].Label = "curl, always the latest"
	}
	return get, nil
}

// ofAnyVersion is the segment of a file's path below latest: what the name has of the
// version is put as @version, unless the name has that word itself.
func ofAnyVersion(file, version string) string {
	if strings.Contains(file, "@version") {
		return view.Segment(file)
	}
	for _, spelled := range []string{version, strings.TrimPrefix(version, "v")} {
		if before, after, found := strings.Cut(file, spelled); found && spelled != "" {
			return view.Segment(before) + "@version" + view.Segment(after)
		}
	}
	return view.Segment(file)
}

func (q *request) chosen(page *view.Version) (file, digest string, err error) {
	if asked := q.value("file"); asked != "" {
		lookup := q.reg.Lookup
		if q.draft {
			lookup = q.reg.LookupDraft
		}
		found, err := lookup(q.r.Context(), store.Ref{VersionRef: q.at.VersionRef, File: asked})
		if err == nil {
			return found.File, found.Digest.String(), nil
		}
		if !errors.Is(err, store.ErrFileNotFound) {
			return "", "", err
		}
	}
	for _, row := range page.Rows {
		if row.Kind == "" && !view.IsText(row.Text) {
			return row.Text, row.SHA256, nil
		}
	}
	if len(page.Rows) == 0 {
		return "", "", nil
	}
	return page.Rows[0].Text, page.Rows[0].SHA256, nil
}
