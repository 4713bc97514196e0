package files

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/reading"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// CheckDuplicate evaluates the conditions of a request that publishes. It refuses the request
// when the version is a draft where it should not be or the reverse, and when there is such a
// file that the publish cannot take the place of, or be the same as. It returns that file
// otherwise, nil when there is none.
func CheckDuplicate(r *http.Request, reg *registry.Registry, v *visit.Visit, limits registry.Limits, claim receive.Claim) (*store.File, error) {
	existing, exists, refused := reg.CheckPublish(r.Context(), v.About, limits)
	if refused != nil && !store.IsRefusal(refused) {
		return nil, refused
	}
	if err := send.CheckConditions(r.Header, exists, existing); err != nil {
		return nil, err
	}
	if refused == nil && exists && limits.Duplicate() == store.Same && claim.Contradicts(existing) {
		refused = store.ErrExists
	}
	if refused != nil {
		return nil, TellDuplicate(v, refused)
	}
	if !exists {
		return nil, nil
	}
	return &existing, nil
}

// Current returns the ID of the file that the conditions of a request were judged by, zero for
// none, so that nothing is published over another one. Nil without conditions.
func Current(r *http.Request, existing *store.File) *int64 {
	if !send.IsConditional(r.Header) {
		return nil
	}
	var id int64
	if existing != nil {
		id = existing.ID
	}
	return &id
}

// FindDuplicate returns the file that a publish may take the place of, or be the same as. Nil
// when there is none.
func FindDuplicate(r *http.Request, reg *registry.Registry, ref store.Ref, limits registry.Limits) (*store.File, error) {
	if limits.Duplicate() == store.Reject {
		return nil, nil
	}
	existing, exists, err := reg.CheckPublish(r.Context(), ref, limits)
	if err != nil && !store.IsRefusal(err) {
		return nil, err
	}
	if !exists {
		return nil, nil
	}
	return &existing, nil
}

// TellDuplicate says of ErrExists why the bytes that are there stay.
func TellDuplicate(v *visit.Visit, err error) error {
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	return visit.Tell(err, "%s", DuplicateText(v))
}

// DuplicateText says why a file of the package of a visit stays as it is.
func DuplicateText(v *visit.Visit) string {
	text := store.ErrExists.Error()
	switch {
	case v.IsImmutable(v.About.Owner, v.About.Package):
		text += fmt.Sprintf(": %s/%s is immutable", v.About.Owner, v.About.Package)
	case v.Limits().Duplicate() == store.Same:
		text += " with other bytes"
	}
	return text
}

// isThere tells whether the bytes that a request would send need not come: its client waits
// to be asked for them, and those that are there have the digest that it names. They are read
// for that. Those that are damaged are to be replaced by what the client has.
func isThere(r *http.Request, reg *registry.Registry, existing *store.File, limits registry.Limits, claim receive.Claim) (bool, error) {
	if existing == nil || !visit.ExpectsContinue(r) || !claim.IsOf(*existing) {
		return false, nil
	}
	find := reg.Find
	if limits.Draft {
		find = reg.FindDraft
	}
	found, err := find(r.Context(), existing.Ref)
	if err != nil || found.Digest != existing.Digest {
		return false, ignoreAbsent(err)
	}
	content, err := found.OpenRange(r.Context())
	switch {
	case errors.Is(err, store.ErrDamaged), errors.Is(err, reading.ErrReplaced):
		return false, nil
	case err != nil:
		return false, ignoreAbsent(err)
	}
	return true, content.Close()
}

// ignoreAbsent drops the error of a file that was deleted just now: it is published anew.
func ignoreAbsent(err error) error {
	if errors.Is(err, store.ErrPackageNotFound) || errors.Is(err, store.ErrFileNotFound) {
		return nil
	}
	return err
}
