package access

import (
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Subject is somebody who wants to do something. Its methods may be called in one
// goroutine.
type Subject interface {
	// Name is the user's. Empty is anonymous.
	Name() string
	// Groups are the user's. They are asked for only where a rule names a group.
	Groups() []string
}

// Rules are compiled: who may do what with which owner's packages. All methods may run
// concurrently.
type Rules struct {
	rules    map[string]*rule // by folded owner
	fallback *rule            // owner * or, where that is silent, the built-in
	admins   map[string]bool  // by folded user
}

// rule is one owner's, with its packages'.
type rule struct {
	permissions
	packages []packageRule
	quota    store.Quota
}

// packageRule narrows a rule to the packages that a pattern matches.
type packageRule struct {
	pattern naming.Pattern
	permissions
}

// permissions are the lines of a rule after what it leaves out is filled in. Only admins
// delete what is immutable.
type permissions struct {
	read, write principals
	delete      *principals // nil: as write
	republishing
}

// principals is a set of users.
type principals struct {
	anyone, users, owner bool
	names, groups        map[string]bool // folded
}

// includes tells whether who is among the principals for an owner, folded.
func (p *principals) includes(who Subject, owner string) bool {
	if p.anyone {
		return true
	}
	user := store.Fold(who.Name())
	if user == "" {
		return false
	}
	if p.users || p.owner && user == owner || p.names[user] {
		return true
	}
	if len(p.groups) > 0 {
		for _, group := range who.Groups() {
			if p.groups[store.Fold(group)] {
				return true
			}
		}
	}
	return false
}

// covers tells whether a set includes all of another, by the words that they are written
// with.
func (p *principals) covers(others *principals) bool {
	switch {
	case p.anyone:
		return true
	case others.anyone:
		return false
	case p.users:
		return true
	}
	return !others.users && (p.owner || !others.owner) && isSubset(others.names, p.names) && isSubset(others.groups, p.groups)
}

func isSubset(some, all map[string]bool) bool {
	for name := range some {
		if !all[name] {
			return false
		}
	}
	return true
}

// allow tells whether who may do what. Whoever may change something may read it.
func (p *permissions) allow(who Subject, what grant.Action, owner string) bool {
	deleters := p.delete
	if deleters == nil {
		deleters = &p.write
	}
	switch what {
	case grant.Write:
		return p.write.includes(who, owner)
	case grant.Delete:
		return !p.immutable && deleters.includes(who, owner)
	}
	return p.read.includes(who, owner) || p.write.includes(who, owner) || deleters.includes(who, owner)
}

// of returns the rule of an owner, folded.
func (a *Rules) of(owner string) *rule {
	if r, ok := a.rules[owner]; ok {
		return r
	}
	return a.fallback
}

// forPackage returns what counts for a package, folded: the lines of the first
// package block that matches, or the owner's own.
func (r *rule) forPackage(name string) *permissions {
	for i := range r.packages {
		if r.packages[i].pattern.Matches(name) {
			return &r.packages[i].permissions
		}
	}
	return &r.permissions
}

func (a *Rules) isAdmin(who Subject) bool {
	return who.Name() != "" && a.admins[store.Fold(who.Name())]
}

// Allows tells whether the rules let somebody do something with an owner's
// package. What a token may is not their business.
func (a *Rules) Allows(who Subject, what grant.Action, owner, pkg string) bool {
	if a.isAdmin(who) {
		return true
	}
	owner = store.Fold(owner)
	return a.of(owner).forPackage(store.Fold(pkg)).allow(who, what, owner)
}

// Extent tells for how much of an owner's packages the rules let somebody do something.
// Blocks of packages that let somebody do all that the owner's lines do change nothing.
func (a *Rules) Extent(who Subject, what grant.Action, owner string) grant.Extent {
	if a.isAdmin(who) {
		return grant.ExtentAll
	}
	owner = store.Fold(owner)
	r := a.of(owner)
	allowed, asked := 0, 1+len(r.packages)
	if r.allow(who, what, owner) {
		allowed++
	}
	for i := range r.packages {
		if r.packages[i].allow(who, what, owner) {
			allowed++
		}
	}
	switch allowed {
	case 0:
		return grant.ExtentNone
	case asked:
		return grant.ExtentAll
	}
	return grant.ExtentSome
}

// Quota returns what an owner may store.
func (a *Rules) Quota(owner string) store.Quota { return a.of(store.Fold(owner)).quota }

// Nobody is who has no credentials.
var Nobody Subject = nobody{}

type nobody struct{}

func (nobody) Name() string     { return "" }
func (nobody) Groups() []string { return nil }
