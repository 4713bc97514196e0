package api

import (
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// giteaVersion is the one whose API this is. Clients compare it with what they need.
const giteaVersion = "1.26.0"

// serveVersion says which Gitea this looks like, to anyone.
func serveVersion(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := alone(r, v); err != nil {
		return err
	}
	return answer(w, struct {
		Version string `json:"version"`
	}{giteaVersion})
}

// serveUser answers with the user of the request.
func serveUser(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := alone(r, v); err != nil {
		return err
	}
	if err := v.Known(); err != nil {
		return err
	}
	return answer(w, shaperOf(v).user(v.User()))
}

// alone checks that a path has nothing below it, and that the method is GET.
func alone(r *http.Request, v *visit.Visit) error {
	segments, err := v.Segments()
	if err != nil {
		return err
	}
	if len(segments) > 0 {
		return errNoRoute
	}
	_, err = methods{http.MethodGet: nil}.choose(r.Method)
	return err
}
