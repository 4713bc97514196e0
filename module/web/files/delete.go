package files

import (
	"errors"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// remove deletes a file or, when the path names none, a version. Drafts are deleted by those
// who may write, and are nothing to others.
func (f *Files) remove(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	mayWrite := v.May(grant.Write, v.About.Owner, v.About.Package)
	mayDelete := v.May(grant.Delete, v.About.Owner, v.About.Package)
	if mayDelete != nil && (mayWrite != nil || f.Drafts.Off) {
		return mayDelete
	}
	err := v.Use(func(reg *registry.Registry) error {
		isDraft, err := f.isDraft(r, v, reg)
		switch {
		case err != nil:
			return err
		case isDraft && mayWrite != nil:
			return store.ErrPackageNotFound
		case !isDraft && mayDelete != nil:
			return mayDelete
		}
		existing, err := checkConditions(r, v, reg, isDraft)
		if err != nil {
			return err
		}
		// Nothing is deleted when the version has the other state by now, or the file is
		// another one than the conditions were judged by.
		act := store.Act{User: v.User(), Only: store.Published, Current: existing.ID}
		if isDraft {
			v.Untold()
			act.Only = store.Drafted
		}
		if v.About.File == "" {
			return reg.DeleteVersion(r.Context(), v.About.VersionRef, act)
		}
		return reg.DeleteFile(r.Context(), v.About, act)
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkConditions evaluates the conditions of a request that deletes what there is, and returns
// the file that they were judged by. A version has no entity tag and no date.
func checkConditions(r *http.Request, v *visit.Visit, reg *registry.Registry, isDraft bool) (existing store.File, err error) {
	if !send.IsConditional(r.Header) {
		return existing, nil
	}
	lookup := reg.Lookup
	if isDraft {
		lookup = reg.LookupDraft
	}
	switch {
	case v.About.File != "":
		existing, err = lookup(r.Context(), v.About)
	case !isDraft:
		_, err = reg.FindVersion(r.Context(), v.About.VersionRef)
	}
	if err != nil {
		return existing, err
	}
	return existing, send.CheckConditions(r.Header, true, existing)
}

// isDraft tells whether the version of a visit is a draft.
func (f *Files) isDraft(r *http.Request, v *visit.Visit, reg *registry.Registry) (bool, error) {
	_, err := reg.Files(r.Context(), store.FileQuery{VersionRef: v.About.VersionRef, Draft: true, Limit: 1})
	if errors.Is(err, store.ErrPackageNotFound) {
		return false, nil
	}
	return err == nil, err
}
