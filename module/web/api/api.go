package api

import (
	"net/http"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// API has the wings of one handler's JSON API. It is made once and not changed afterwards.
type API struct {
	// Document answers with a description of all APIs, where IsDocument.
	Document visit.Wing

	always  []mount
	offered []mount
}

// mount is a path below which a wing answers.
type mount struct {
	under []string
	wing  visit.Wing
	is    func(visit.Path) bool // for which paths below; nil for all
}

// wing is a function that is a visit.Wing. It words refusals as the API does.
type wing func(w http.ResponseWriter, r *http.Request, v *visit.Visit) error

// Serve implements visit.Wing.
func (serve wing) Serve(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	v.Form, v.CacheControl = errorForm(v), cacheControl
	return serve(w, r, v)
}

// Options are what a site may answer, or not, besides files and versions.
type Options struct {
	// Releases tells whether packages are shown as releases too.
	Releases bool
	// Drafts, Resumable and Archives tell whether files can be published into drafts, and
	// in several requests, and whether versions can be downloaded whole.
	Drafts, Resumable, Archives bool
	// Selects tells whether latest or a range can stand in place of a version.
	Selects bool
	// Sums is the name of a version's list of checksums. Empty for none.
	Sums string
	// Hashes are those that are computed beside each file.
	Hashes []computed.Hash
}

// New returns the API under a path, of the packages under a prefix. Without a path only the
// description is served.
func New(prefix, path []string, options Options) *API {
	a := &API{Document: serveDocument(describe(prefix, path, options))}
	if path == nil {
		return a
	}
	below := func(name string) []string { return slices.Concat(path, []string{name}) }
	a.always = []mount{{below("packages"), wing(servePackages), nil}}
	a.offered = []mount{{below("version"), wing(serveVersion), nil}, {below("user"), wing(serveUser), nil}}
	if options.Releases {
		shown := &shownReleases{prefix: prefix, path: path, options: &options}
		a.always = append(a.always, mount{below("repos"), wing(shown.serve), nil},
			mount{slices.Concat(siteOf(path), []string{"attachments"}), wing(shown.lead), isAttachment})
	}
	return a
}

// Find returns the wing that answers a path in any case, and what comes after the wing's
// own path. Nil when there is none.
func (a *API) Find(path visit.Path) (visit.Wing, visit.Path) { return find(a.always, path) }

// Offer is Find for what is answered when nobody else does: a Gitea behind the registry
// has its own.
func (a *API) Offer(path visit.Path) (visit.Wing, visit.Path) { return find(a.offered, path) }

func find(mounts []mount, path visit.Path) (visit.Wing, visit.Path) {
	for _, m := range mounts {
		if below, inside := path.Under(m.under); inside && (m.is == nil || m.is(below)) {
			return m.wing, below
		}
	}
	return nil, visit.Path{}
}

// Meets tells whether the API answers a path or one below it, or is below it.
func (a *API) Meets(path []string) bool {
	return slices.ContainsFunc(slices.Concat(a.always, a.offered), func(m mount) bool {
		return visit.IsUnder(m.under, path) || visit.IsUnder(path, m.under)
	})
}
