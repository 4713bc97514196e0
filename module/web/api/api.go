package api

import (
	"net/http"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// API has the wings of one handler's JSON API. It is made once and not changed afterwards.
type API struct {
	always  []place
	offered []place
}

// place is a path below which a wing answers.
type place struct {
	under []string
	wing  visit.Wing
}

// wing is a function that is a visit.Wing. It words refusals as the API does.
type wing func(w http.ResponseWriter, r *http.Request, v *visit.Visit) error

// Serve implements visit.Wing.
func (serve wing) Serve(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	v.Form = errorForm(v)
	return serve(w, r, v)
}

// New returns the API under a path. Without a path it answers nothing.
func New(path []string) *API {
	if path == nil {
		return new(API)
	}
	below := func(name string) []string { return slices.Concat(path, []string{name}) }
	return &API{
		always:  []place{{below("packages"), wing(servePackages)}},
		offered: []place{{below("version"), wing(serveVersion)}, {below("user"), wing(serveUser)}},
	}
}

// Find returns the wing that answers a path in any case, and what comes after the wing's
// own path. Nil when there is none.
func (a *API) Find(path visit.Path) (visit.Wing, visit.Path) { return find(a.always, path) }

// Offer is Find for what is answered when nobody else does: a Gitea behind the registry
// has its own.
func (a *API) Offer(path visit.Path) (visit.Wing, visit.Path) { return find(a.offered, path) }

func find(places []place, path visit.Path) (visit.Wing, visit.Path) {
	for _, p := range places {
		if below, inside := path.Under(p.under); inside {
			return p.wing, below
		}
	}
	return nil, visit.Path{}
}

// Meets tells whether the API answers a path or one below it, or is below it.
func (a *API) Meets(path []string) bool {
	return slices.ContainsFunc(slices.Concat(a.always, a.offered), func(p place) bool {
		return visit.IsUnder(p.under, path) || visit.IsUnder(path, p.under)
	})
}
