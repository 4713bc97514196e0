package visit

import (
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// May decides whether the user may do something with a package, or with an owner when the
// package is empty. It is asked before any store, so that the names of a private owner leak
// neither by status nor by timing. The error is ErrUnauthenticated, ErrForbidden, ErrScope,
// ErrCrossSite, or store.ErrPackageNotFound for what the user may not read;
// store.ErrUnavailable when the credentials cannot be checked now.
func (v *Visit) May(what grant.Action, owner, pkg string) error {
	v.action = what
	if v.who.fault != nil {
		return errors.Join(store.ErrUnavailable, v.who.fault)
	}
	if !v.covers(what, owner, pkg) {
		return Tell(ErrScope, "the scope of token %s does not allow it to %s in %s/%s", v.who.token.Name, what, owner, pkg)
	}
	if !v.site.Rules.Allows(v.who, what, owner, pkg) {
		return v.refusal(what, owner, pkg)
	}
	// Browsers send cached Basic credentials along with cross-site requests.
	if err := v.site.CrossSite.Check(v.request); what != grant.Read && err != nil {
		return fmt.Errorf("%w: %w", ErrCrossSite, err)
	}
	return nil
}

// refusal is the answer to a user without the right. Whether a private owner has
// anything is not told to those who may not read it.
func (v *Visit) refusal(what grant.Action, owner, pkg string) error {
	switch {
	case v.who.user == "":
		return ErrUnauthenticated
	case what == grant.Read:
		return store.ErrPackageNotFound
	case what == grant.Delete && v.IsImmutable(owner, pkg) && v.site.Rules.Allows(v.who, grant.Read, owner, pkg):
		return Tell(ErrForbidden, "%s/%s is immutable: only an admin may delete files there", owner, pkg)
	}
	return Tell(ErrForbidden, "user %s may not %s in %s/%s", v.who.user, what, owner, pkg)
}

// Can is May for lists, of which each element is asked about: it says nothing of why, and
// does not ask where the request comes from.
func (v *Visit) Can(what grant.Action, owner, pkg string) bool {
	return v.who.fault == nil && v.covers(what, owner, pkg) && v.site.Rules.Allows(v.who, what, owner, pkg)
}

// IsOpen tells whether anyone may read a package, and this request shows that it comes here
// without credentials: a matcher of Caddy in front may ask for some.
func (v *Visit) IsOpen(owner, pkg string) bool {
	header := v.request.Header
	return v.who.user == "" && v.who.fault == nil && header.Get("Authorization") == "" && header.Get("Cookie") == "" &&
		v.Can(grant.Read, owner, pkg)
}

// covers tells whether the token, if it was one, is for that.
func (v *Visit) covers(what grant.Action, owner, pkg string) bool {
	return v.who.token == nil || v.who.token.Scope.Covers(what, owner, pkg)
}

// mayWrite tells whether a client may write where its request goes, which tells for how
// long it is listened to after a refusal.
func (v *Visit) mayWrite() bool {
	return naming.CheckOwner(v.About.Owner) == nil && v.Can(grant.Write, v.About.Owner, v.About.Package)
}
