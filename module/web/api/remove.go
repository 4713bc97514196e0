package api

import (
	"context"
	"errors"
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
// exist here, and drafts stay where the user may not write.
func removePackage(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return remove(w, v, func(reg *registry.Registry) error {
		query := store.VersionQuery{Owner: v.About.Owner, Package: v.About.Package, Limit: 1}
		found, err := reg.Versions(r.Context(), query)
		if err != nil || len(found.Versions) == 0 {
			return orNotFound(err)
		}
		if err := send.CheckConditions(r.Header, true, store.File{}); err != nil {
			return err
		}
		if !v.Can(grant.Write, query.Owner, query.Package) {
			query.Limit = store.MaxPage
			return removePublished(r.Context(), reg, query, v.User())
		}
		return reg.DeletePackage(r.Context(), query.Owner, query.Package, v.User())
	})
}

// removePublished deletes the published versions of a package one after the other: the store
// deletes a package with its drafts. It goes from the newest to the oldest, so what is published
// meanwhile stays. An error leaves the older versions there; a further request deletes them.
func removePublished(ctx context.Context, reg *registry.Registry, query store.VersionQuery, user string) error {
	for {
		found, err := reg.Versions(ctx, query)
		if err != nil {
			return err
		}
		for _, version := range found.Versions {
			err := reg.DeleteVersion(ctx, version.VersionRef, store.Act{User: user, Only: store.Published})
			if err != nil && !errors.Is(err, store.ErrPackageNotFound) { // deleted meanwhile
				return err
			}
		}
		if query.After = found.Next; query.After == "" {
			return nil
		}
	}
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
