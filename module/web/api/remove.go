package api

import (
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// removeVersion deletes a version. Like a package, it has no entity tag and no date.
func removeVersion(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return remove(w, v, func(reg *registry.Registry) error {
		if _, err := reg.FindVersion(r.Context(), v.About.VersionRef); err != nil {
			return err
		}
		if err := send.CheckConditions(r.Header, true, store.File{}); err != nil {
			return err
		}
		return reg.DeleteVersion(r.Context(), v.About.VersionRef, store.Act{User: v.User(), Only: store.Published})
	})
}

// removePackage deletes a package with all its versions. One that has drafts alone does not
// exist here.
func removePackage(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return remove(w, v, func(reg *registry.Registry) error {
		found, err := reg.Versions(r.Context(), store.VersionQuery{Owner: v.About.Owner, Package: v.About.Package, Limit: 1})
		if err != nil || len(found.Versions) == 0 {
			return orNotFound(err)
		}
		if err := send.CheckConditions(r.Header, true, store.File{}); err != nil {
			return err
		}
		return reg.DeletePackage(r.Context(), v.About.Owner, v.About.Package, v.User())
	})
}

func remove(w http.ResponseWriter, v *visit.Visit, do func(*registry.Registry) error) error {
	if err := v.May(grant.Delete, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if err := v.Use(do); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", cacheControl)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
