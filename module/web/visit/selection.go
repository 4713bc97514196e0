package visit

import (
	"errors"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// MaySome is May for what is not about one package of an owner: it refuses who may do
// something with none of them, whichever there are, before any store is asked.
func (v *Visit) MaySome(what grant.Action, owner string) error {
	v.action = what
	switch {
	case v.who.fault != nil:
		return errors.Join(store.ErrUnavailable, v.who.fault)
	case v.who.token != nil && v.who.token.Scope.Extent(what, owner) == grant.ExtentNone:
		return Tell(ErrScope, "the scope of token %s does not allow it to %s in %s", v.who.token.Name, what, owner)
	case v.site.Rules.Extent(v.who, what, owner) == grant.ExtentNone:
		return v.refusal(what, owner, "")
	}
	return nil
}

// Extent tells for how much of an owner's packages the user may do something, as Can does
// for one of them.
func (v *Visit) Extent(what grant.Action, owner string) grant.Extent {
	if v.who.fault != nil {
		return grant.ExtentNone
	}
	extent := v.site.Rules.Extent(v.who, what, owner)
	if v.who.token != nil {
		extent = min(extent, v.who.token.Scope.Extent(what, owner))
	}
	return extent
}

// Selection is the packages that the user may read. The error is store.ErrUnavailable when
// the credentials cannot be checked now.
func (v *Visit) Selection() (store.Selection, error) {
	if v.who.fault != nil {
		return store.Selection{}, errors.Join(store.ErrUnavailable, v.who.fault)
	}
	return store.Selection{
		None:   func(owner string) bool { return v.Extent(grant.Read, owner) == grant.ExtentNone },
		Whole:  func(owner string) bool { return v.Extent(grant.Read, owner) == grant.ExtentAll },
		Select: func(owner, pkg string) bool { return v.Can(grant.Read, owner, pkg) },
	}, nil
}

// IsPublic tells whether anybody may read a package.
func (v *Visit) IsPublic(owner, pkg string) bool {
	return v.site.Rules.Allows(access.Nobody, grant.Read, owner, pkg)
}

// PublicExtent tells how much of an owner's packages anybody may read.
func (v *Visit) PublicExtent(owner string) grant.Extent {
	return v.site.Rules.Extent(access.Nobody, grant.Read, owner)
}
