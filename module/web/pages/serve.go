package pages

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Pages is the wing of folders.
type Pages struct {
	// Templates make the pages.
	Templates *view.Templates
	// Selects tells whether something else than a version, such as latest, stands for one.
	// Nil is never.
	Selects func(version string) bool
	// Archives tells that a version can be had as an archive.
	Archives bool
	// Sums is the name of a version's list of checksums. Empty when there is none.
	Sums string
	// Drafts and Resumable tell that files can be published into drafts, and in several
	// requests.
	Drafts, Resumable bool
	// Names are the file names that may be published.
	Names naming.FileNames
}

// Answers tells whether a request is about a folder. A path without a slash at the end is
// too, where it cannot be that of a file.
func (p *Pages) Answers(r *http.Request, path visit.Path) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if path.IsFolder() || path.Depth() < int(levelVersion) {
		return path.Depth() <= int(levelVersion)
	}
	return path.Depth() == int(levelVersion) && !r.URL.Query().Has("archive")
}

// Serve implements visit.Wing.
func (p *Pages) Serve(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	at, err := parseFolder(v.Path)
	v.About.VersionRef = at.VersionRef
	form := formOf(r.Header.Values("Accept"))
	request := &request{pages: p, visit: v, r: r, at: at, nonce: rand.Text()}
	request.head(w.Header())
	v.Form = func(status int, text string) (contentType, body string) {
		request.head(w.Header())
		if form == formPage {
			return request.failure(status, text)
		}
		return visit.Text(status, text)
	}
	switch {
	case err != nil:
		return err
	case !v.IsFolder():
		return redirect(w, http.StatusPermanentRedirect, withSlash(r))
	case at.level == levelRegistry && r.URL.Query().Has("signin"):
		return signIn(w, r, v)
	}
	if err := request.authorize(); err != nil {
		return err
	}
	return v.Use(func(reg *registry.Registry) error {
		request.reg = reg
		if location, err := request.selected(); err != nil {
			return err
		} else if location != "" {
			return redirect(w, http.StatusFound, location)
		}
		switch form {
		case formPage:
			return request.page(w)
		case formJSON:
			return request.list(w, jsonWriter)
		}
		return request.list(w, listWriter)
	})
}

// request is one request for a folder.
type request struct {
	pages     *Pages
	visit     *visit.Visit
	r         *http.Request
	at        folder
	nonce     string
	selection store.Selection
	draft     bool // the version is one
	reg       *registry.Registry
}

// head sets what every answer for a folder has.
func (q *request) head(header http.Header) {
	header.Set("Cache-Control", "private, no-store")
	header.Add("Vary", "Accept")
	header.Set("Content-Security-Policy", policy(q.nonce))
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
}

// authorize decides who may see the folder before the store is asked. What is in it is
// selected for its reader besides.
func (q *request) authorize() (err error) {
	switch q.at.level {
	case levelRegistry:
	case levelOwner, levelType:
		err = q.visit.MaySome(grant.Read, q.at.Owner)
	default:
		err = q.visit.May(grant.Read, q.at.Owner, q.at.Package)
	}
	if err != nil {
		return err
	}
	q.selection, err = q.visit.Selection()
	return err
}

// signIn asks for credentials and leads back to a folder. It does so at the prefix itself,
// because browsers send credentials by themselves only below the folder that asked for
// them (RFC 7617 section 2.2).
func signIn(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if _, err := v.Selection(); err != nil {
		return err
	}
	if v.User() == "" {
		return visit.ErrUnauthenticated
	}
	// Only names come back out of what was asked for, so it leads nowhere else.
	back, err := visit.ParsePath(r.URL.Query().Get("signin")).Segments()
	if err != nil {
		back = nil
	}
	return redirect(w, http.StatusSeeOther, "./"+joined(back))
}

// selected returns where the folder of a version leads that is none itself but stands for
// one, such as latest.
func (q *request) selected() (location string, err error) {
	if q.at.level != levelVersion || q.pages.Selects == nil || !q.pages.Selects(q.at.Version) {
		return "", nil
	}
	if _, err := q.files(store.FileQuery{VersionRef: q.at.VersionRef, Limit: 1}); !errors.Is(err, store.ErrPackageNotFound) {
		return "", err // it is published under that name, or a draft
	}
	chosen, err := q.reg.Resolve(q.r.Context(), q.at.VersionRef)
	if err != nil || chosen.Key() == q.at.VersionRef.Key() {
		return "", err
	}
	location = "../" + view.Segment(chosen.Version) + "/"
	if q.r.URL.RawQuery != "" {
		location += "?" + q.r.URL.RawQuery
	}
	return location, nil
}

func redirect(w http.ResponseWriter, status int, location string) error {
	w.Header().Set("Location", location)
	w.WriteHeader(status)
	return nil
}

// policy is the Content-Security-Policy of a page: its own style and script, its own
// icon, requests and forms to this site, and nothing else.
func policy(nonce string) string {
	return "default-src 'none'; style-src 'nonce-" + nonce + "'; script-src 'nonce-" + nonce + "'; " +
		"connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// failure is the page of a refusal.
func (q *request) failure(status int, text string) (contentType, body string) {
	made, err := q.pages.Templates.Render("failure.html", view.Failure{
		Frame: q.frame(), Status: status, StatusText: http.StatusText(status), Reason: text,
	})
	if err != nil {
		return visit.Text(status, text)
	}
	return "text/html; charset=utf-8", string(made)
}

// frame is what the folder's page has in any case.
func (q *request) frame() view.Frame {
	frame := view.Frame{Title: q.at.title(), Path: q.at.parents(), Here: q.at.name(), User: q.visit.User(), Nonce: q.nonce}
	if frame.User == "" {
		frame.SignIn = up(q.at.level) + "?signin=" + url.QueryEscape(q.at.path())
	}
	if q.reg != nil { // and so the reader may read here
		frame.Edit = q.edit(q.draft)
	}
	return frame
}

// list answers with every entry of the folder.
func (q *request) list(w http.ResponseWriter, form writer) error {
	list := q.lister()
	entries, next, err := list("")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", form.mediaType)
	if q.r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	var broken readError
	if err := form.write(w, "Index of /"+q.at.path(), entries, next, list); errors.As(err, &broken) {
		return &visit.BrokenOff{Err: broken.error}
	}
	return nil // the client that is gone needs no answer
}

const (
	// maxPage is the most bytes that a page has.
	maxPage = 40 << 10
	// maxTexts is the most bytes of the texts of a version that a page has. Where names are so
	// long that the page would be too large, the page has fewer rows and less of the texts.
	maxTexts = 12 << 10
)

// page answers with a page.
func (q *request) page(w http.ResponseWriter) error {
	for share := 1; ; share *= 2 {
		name, page, err := q.make(max(1, view.MaxRows/share), maxTexts/share)
		if err != nil {
			return err
		}
		made, err := q.pages.Templates.Render(name, page)
		if err != nil {
			return err
		}
		if len(made) > maxPage && share < view.MaxRows {
			continue
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(made)))
		_, _ = w.Write(made) // the client that is gone needs no answer
		return nil
	}
}
