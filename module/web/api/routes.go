package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// errNoRoute: a path under the API's that nothing answers.
var errNoRoute = visit.Refuse(http.StatusNotFound, "not found")

// methods are what a path answers.
type methods map[string]wing

// choose returns what answers a method. HEAD is not GET here, as in Gitea.
func (m methods) choose(method string) (wing, error) {
	if len(m) == 0 {
		return nil, errNoRoute
	}
	serve, ok := m[method]
	if !ok {
		return nil, visit.MethodNotAllowed(strings.Join(slices.Sorted(maps.Keys(m)), ", "))
	}
	return serve, nil
}

// servePackages answers {owner}, {owner}/{type}/{package} and what is below. A slash at
// the end is ignored.
func servePackages(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	segments, err := v.Segments()
	if err != nil {
		return err
	}
	if err := about(v, segments, 2); err != nil {
		return err
	}
	serve, err := methodsOf(segments).choose(r.Method)
	if err != nil {
		return err
	}
	if len(segments) > 1 && segments[1] != visit.PackageType {
		serve = serveAbsent
	}
	return serve(w, r, v)
}

// about notes what a path is about: its first segment is the owner, and the package and
// its version stand at a place further on.
func about(v *visit.Visit, segments []string, at int) error {
	if len(segments) == 0 {
		return errNoRoute
	}
	v.About.Owner = segments[0]
	if len(segments) > at {
		v.About.Package = segments[at]
	}
	if len(segments) > at+1 {
		v.About.Version = segments[at+1]
	}
	return naming.CheckOwner(v.About.Owner)
}

func methodsOf(segments []string) methods {
	switch len(segments) {
	case 1:
		return methods{http.MethodGet: listOwner}
	case 3:
		return methods{http.MethodGet: listPackage, http.MethodDelete: removePackage}
	case 4:
		return methods{http.MethodGet: showVersion, http.MethodDelete: removeVersion}
	case 5:
		switch {
		case segments[4] == "files":
			return methods{http.MethodGet: listFiles}
		case segments[3] == "-" && segments[4] == "latest":
			return methods{http.MethodGet: showLatest}
		}
	}
	return nil
}

// serveAbsent answers for packages of a type that no package has.
func serveAbsent(_ http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(visit.ActionOf(r.Method), v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return store.ErrPackageNotFound
}
