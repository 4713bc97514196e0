package pages

import (
	"errors"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
)

// editWord is the word of the query that asks for the page of those who publish and delete.
const editWord = "edit"

// mayUpload tells whether the reader may publish in the folder. In that of the registry it is
// about the reader's own name.
func (q *request) mayUpload() bool {
	switch q.at.level {
	case levelRegistry:
		return q.visit.User() != "" && q.visit.Extent(grant.Write, q.visit.User()) != grant.ExtentNone
	case levelOwner, levelType:
		return q.visit.Extent(grant.Write, q.at.Owner) != grant.ExtentNone
	}
	return q.visit.Can(grant.Write, q.at.Owner, q.at.Package)
}

// mayDelete tells whether the reader may delete the version of the folder. Who may publish in
// a draft may end it.
func (q *request) mayDelete(draft bool) bool {
	return q.at.level == levelVersion && (q.visit.Can(grant.Delete, q.at.Owner, q.at.Package) || draft && q.mayUpload())
}

// edit is what a page has that leads to where the reader may publish or delete.
func (q *request) edit(draft bool) *view.Link {
	switch {
	case !q.mayUpload() && !q.mayDelete(draft):
		return nil
	case q.at.level == levelVersion:
		return &view.Link{Text: "Edit", URL: "./?" + editWord}
	}
	return &view.Link{Text: "Publish", URL: "./?" + editWord}
}

// editing makes the page of those who publish and delete. Nil for others.
func (q *request) editing(rows int) (*view.Edit, error) {
	page, isNew := &view.Edit{Back: "./"}, q.at.level != levelVersion
	if q.at.level == levelVersion {
		found, err := q.files(store.FileQuery{VersionRef: q.at.VersionRef, After: q.value("after"), Limit: rows})
		isNew = errors.Is(err, store.ErrPackageNotFound) && q.mayUpload()
		if err != nil && !isNew {
			return nil, err
		}
		if isNew {
			found.Version.VersionRef, page.Back = q.at.VersionRef, "../"
		}
		q.at.VersionRef = found.Version.VersionRef // as first spelled
		page.Draft, page.MayDelete = found.Version.Draft, !isNew && q.mayDelete(found.Version.Draft)
		page.Paging = q.paging(found.Next, editWord, "1")
		for _, file := range found.Files {
			page.Rows = append(page.Rows, view.FileRow{Link: view.Link{Text: file.File, URL: view.Segment(file.File)}, Size: view.Size(file.Size)})
		}
	}
	if q.mayUpload() {
		page.Upload = &view.Upload{
			Root: up(q.at.level), Owner: q.at.Owner, Package: q.at.Package, Version: q.at.Version, User: q.visit.User(),
			Draft: page.Draft, MayDraft: isNew && q.pages.Drafts, Resumable: q.pages.Resumable, Marks: q.pages.Names.Marks(),
		}
	}
	if page.Upload == nil && !page.MayDelete {
		return nil, nil
	}
	page.Frame, page.Owner, page.Package, page.Version = q.frame(), q.at.Owner, q.at.Package, q.at.Version
	page.Title = page.Edit.Text + ": " + page.Title
	page.Editing, page.Edit = true, nil
	page.Immutable = q.at.Package != "" && q.visit.IsImmutable(q.at.Owner, q.at.Package)
	return page, nil
}

// maxDrafts is how many drafts a page lists at most.
const maxDrafts = 20

// drafts lists the drafts that the reader may publish in, of an owner or a package, at most so
// many. The folder is that of the owner's packages or the package, relative to the page.
func (q *request) drafts(folder string, most int) (rows []view.VersionRow, err error) {
	if !q.mayUpload() || q.value("after") != "" {
		return nil, nil
	}
	found, err := q.reg.Versions(q.r.Context(), store.VersionQuery{
		Selection: store.Selection{Select: func(owner, pkg string) bool { return q.visit.Can(grant.Write, owner, pkg) }},
		Owner:     q.at.Owner, Package: q.at.Package, Drafts: true, Limit: min(most, maxDrafts),
	})
	if err != nil {
		return nil, err
	}
	for _, version := range found.Versions {
		row := q.versionRow(version, "")
		row.Draft, row.Latest = true, false
		row.URL = folder + row.URL
		if q.at.Package == "" {
			row.Link = view.Link{Text: version.Package + " " + version.Version, URL: folder + view.Segment(version.Package) + "/" + view.Segment(version.Version) + "/"}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// files finds a version that is published, or a draft for those who may publish in it.
func (q *request) files(query store.FileQuery) (store.FilePage, error) {
	found, err := q.reg.Files(q.r.Context(), query)
	if errors.Is(err, store.ErrPackageNotFound) && q.mayUpload() {
		query.Draft = true
		return q.reg.Files(q.r.Context(), query)
	}
	return found, err
}
