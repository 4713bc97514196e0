package files

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// put publishes a request's body. What can be refused without reading it is.
func (f *Files) put(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(store.ActionWrite, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if err := f.CheckNames(v.About); err != nil {
		return err
	}
	draft, err := f.AsksForDraft(r)
	if err != nil {
		return err
	}
	said, err := receive.Declared(r)
	if err != nil {
		return err
	}
	limits := f.LimitsOf(v, draft)
	err = v.Use(func(reg *registry.Registry) error { return f.publish(w, r, v, reg, said, limits) })
	if err != nil {
		return err
	}
	if draft {
		SayDraft(w.Header())
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (f *Files) publish(w http.ResponseWriter, r *http.Request, v *visit.Visit, reg *registry.Registry, said receive.Declaration, limits registry.Limits) error {
	if err := CheckAbsent(r, reg, v.About, limits); err != nil {
		return err
	}
	content, err := f.Upload.Content(w, r, said)
	if err != nil {
		return err
	}
	file, err := reg.Publish(r.Context(), v.About, v.User(), content, limits)
	if errors.Is(err, store.ErrDigest) {
		return errors.Join(receive.Mismatch(r.Header), err)
	}
	if err != nil {
		return err
	}
	v.Found(file)
	send.SetValidators(w.Header(), file.Digest)
	return nil
}

// CheckAbsent evaluates the conditions of a request that publishes, and refuses it when
// there is such a file, or the version is a draft where it should not be or the reverse.
func CheckAbsent(r *http.Request, reg *registry.Registry, ref store.Ref, limits registry.Limits) error {
	existing, exists, err := reg.CheckPublish(r.Context(), ref, limits)
	if err != nil && !store.IsRefusal(err) {
		return err
	}
	return cmp.Or(send.CheckConditions(r.Header, exists, existing), err)
}

// CheckNames judges the names of a file that is to be published, and says which rule they
// break: store.ErrInvalidPackage, ErrInvalidVersion, ErrInvalidFile.
func (f *Files) CheckNames(ref store.Ref) error {
	err := store.CheckNames(ref, f.Names)
	switch {
	case errors.Is(err, store.ErrInvalidPackage):
		return visit.Tell(err, "%v: at most %d letters, digits and .-+_, not one of those marks alone", err, store.MaxNameLength)
	case errors.Is(err, store.ErrInvalidVersion):
		return visit.Tell(err, "%v: at most %d bytes, no white space at either end", err, store.MaxNameLength)
	case errors.Is(err, store.ErrInvalidFile) && f.Names == store.FileNamesGitea:
		return visit.Tell(err, "%v: at most %d letters, digits and .-+_=:;()[]{}~!@#$%%^&, spaces not at either end", err, store.MaxNameLength)
	case errors.Is(err, store.ErrInvalidFile):
		return visit.Tell(err, "%v: at most %d letters, digits and .-+_; file_names gitea allows more", err, store.MaxNameLength)
	}
	return err
}
