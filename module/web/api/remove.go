package api

import (
	"errors"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// removeVersion deletes a version.
func removeVersion(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return remove(w, v, func(reg *registry.Registry) error {
		return reg.DeleteVersion(r.Context(), v.About.VersionRef, v.User())
	})
}

// removePackage deletes all versions of a package.
func removePackage(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return remove(w, v, func(reg *registry.Registry) error {
		every := store.VersionQuery{Owner: v.About.Owner, Package: v.About.Package, Limit: store.MaxPage}
		for removed := false; ; removed = true {
			page, err := reg.Versions(r.Context(), every)
			if err != nil {
				return err
			}
			if len(page.Versions) == 0 && !removed {
				return store.ErrPackageNotFound
			}
			if len(page.Versions) == 0 {
				return nil
			}
			for _, info := range page.Versions {
				if err := reg.DeleteVersion(r.Context(), info.VersionRef, v.User()); err != nil && !errors.Is(err, store.ErrPackageNotFound) {
					return err
				}
			}
		}
	})
}

func remove(w http.ResponseWriter, v *visit.Visit, do func(*registry.Registry) error) error {
	if err := v.May(store.ActionDelete, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if err := v.Use(do); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
