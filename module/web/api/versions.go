package api

import (
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/gitea"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// listOwner lists the versions of an owner, the newest first.
func listOwner(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.MaySome(grant.Read, v.About.Owner); err != nil {
		return err
	}
	query := r.URL.Query()
	kind := strings.TrimSpace(query.Get("type"))
	search, possible := visit.Search(query.Get("q"))
	p := pageOf(query, "type", "q", "limit", "page")
	selection, err := v.Selection()
	if err != nil {
		return err
	}
	if kind != "" && kind != visit.PackageType || !possible {
		p.setTotal(w.Header(), r, v, 0)
		return answer(w, []gitea.Package{})
	}
	return list(w, r, v, p, store.VersionQuery{Selection: selection, Owner: v.About.Owner, Search: search})
}

// listPackage lists the versions of a package, the newest first.
func listPackage(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(grant.Read, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return list(w, r, v, pageOf(r.URL.Query(), "limit", "page"), store.VersionQuery{Owner: v.About.Owner, Package: v.About.Package})
}

// list answers with a page of versions. A package that has none does not exist.
func list(w http.ResponseWriter, r *http.Request, v *visit.Visit, p page, query store.VersionQuery) error {
	query.Skip, query.Limit, query.Total = p.skip(), p.limit, true
	var found store.VersionPage
	err := v.Use(func(reg *registry.Registry) (err error) {
		found, err = reg.Versions(r.Context(), query)
		return err
	})
	if err != nil {
		return err
	}
	if query.Package != "" && found.Total == 0 {
		return store.ErrPackageNotFound
	}
	shape, bodies := shaperOf(v), make([]gitea.Package, 0, len(found.Versions))
	for _, info := range found.Versions {
		bodies = append(bodies, shape.version(info))
	}
	p.setTotal(w.Header(), r, v, found.Total)
	return answer(w, bodies)
}

// showLatest answers with the version of a package that is the newest by time.
func showLatest(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	v.About.Version = "" // it is not known yet
	return show(w, v, func(reg *registry.Registry) (store.VersionInfo, error) {
		found, err := reg.Versions(r.Context(), store.VersionQuery{Owner: v.About.Owner, Package: v.About.Package, Limit: 1})
		if err != nil || len(found.Versions) == 0 {
			return store.VersionInfo{}, orNotFound(err)
		}
		return found.Versions[0], nil
	})
}

func orNotFound(err error) error {
	if err != nil {
		return err
	}
	return store.ErrPackageNotFound
}

// showVersion answers with a version.
func showVersion(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return show(w, v, func(reg *registry.Registry) (store.VersionInfo, error) {
		return reg.FindVersion(r.Context(), v.About.VersionRef)
	})
}

// show answers with the version that a function finds.
func show(w http.ResponseWriter, v *visit.Visit, find func(*registry.Registry) (store.VersionInfo, error)) error {
	if err := v.May(grant.Read, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	var found store.VersionInfo
	err := v.Use(func(reg *registry.Registry) (err error) {
		found, err = find(reg)
		return err
	})
	if err != nil {
		return err
	}
	return answer(w, shaperOf(v).version(found))
}
