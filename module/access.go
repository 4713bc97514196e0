package module

import (
	"fmt"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Principals that are not user names.
const (
	principalAnyone = "*"
	principalUsers  = "@users"
	principalOwner  = "@owner"
)

// anyOwner is the owner of the rule for every owner without one.
const anyOwner = "*"

// access is the compiled rules: who may read and write which owner's packages.
type access struct {
	rules    map[string]rule // by folded owner
	fallback rule            // owner * or, where that is silent, the built-in
	admins   map[string]bool // by folded user
}

type rule struct{ read, write principals }

// principals is a set of users.
type principals struct {
	anyone, users, owner bool
	names                map[string]bool // folded
}

// compileAccess checks rules and compiles them. A line that a rule leaves out is
// that of owner *, and without that the built-in: read *, write @owner.
func compileAccess(rules []OwnerRule, admins []string) (*access, error) {
	a := &access{
		rules:    make(map[string]rule, len(rules)),
		fallback: rule{read: principals{anyone: true}, write: principals{owner: true}},
		admins:   make(map[string]bool, len(admins)),
	}
	for _, admin := range admins {
		if err := CheckUser(admin); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		a.admins[registry.Fold(admin)] = true
	}
	if i := slices.IndexFunc(rules, func(r OwnerRule) bool { return r.Owner == anyOwner }); i >= 0 {
		fallback, err := compileRule(rules[i], a.fallback)
		if err != nil {
			return nil, err
		}
		a.fallback = fallback
	}
	seen := make(map[string]bool, len(rules))
	for _, r := range rules {
		owner := registry.Fold(r.Owner)
		if seen[owner] {
			return nil, fmt.Errorf("owner %q has two rules: write them as one", r.Owner)
		}
		seen[owner] = true
		if r.Owner == anyOwner {
			continue
		}
		compiled, err := compileRule(r, a.fallback)
		if err != nil {
			return nil, err
		}
		a.rules[owner] = compiled
	}
	return a, nil
}

func compileRule(r OwnerRule, fallback rule) (rule, error) {
	if err := CheckRuleOwner(r.Owner); err != nil {
		return rule{}, fmt.Errorf("owner %q: %w", r.Owner, err)
	}
	if len(r.Read) == 0 && len(r.Write) == 0 {
		return rule{}, fmt.Errorf("owner %q has no rule: write read or write", r.Owner)
	}
	compiled := fallback
	var err error
	if len(r.Read) > 0 {
		if compiled.read, err = compilePrincipals(r.Read); err != nil {
			return rule{}, fmt.Errorf("owner %q: read: %w", r.Owner, err)
		}
	}
	if len(r.Write) > 0 {
		if compiled.write, err = compilePrincipals(r.Write); err != nil {
			return rule{}, fmt.Errorf("owner %q: write: %w", r.Owner, err)
		}
	}
	return compiled, nil
}

func compilePrincipals(words []string) (principals, error) {
	p := principals{names: make(map[string]bool, len(words))}
	for _, word := range words {
		if err := CheckPrincipal(word); err != nil {
			return principals{}, err
		}
		switch word {
		case principalAnyone:
			p.anyone = true
		case principalUsers:
			p.users = true
		case principalOwner:
			p.owner = true
		default:
			p.names[registry.Fold(word)] = true
		}
	}
	return p, nil
}

// includes tells whether a user, folded and empty when anonymous, is among the
// principals for an owner, folded.
func (p principals) includes(user, owner string) bool {
	if p.anyone {
		return true
	}
	if user == "" {
		return false
	}
	return p.users || p.owner && user == owner || p.names[user]
}

func (a *access) rule(owner string) rule {
	if r, ok := a.rules[owner]; ok {
		return r
	}
	return a.fallback
}

// mayWrite tells whether a user, empty when anonymous, may publish and delete an
// owner's packages.
func (a *access) mayWrite(user, owner string) bool {
	user, owner = registry.Fold(user), registry.Fold(owner)
	return a.admins[user] || a.rule(owner).write.includes(user, owner)
}

// mayRead tells whether a user may download an owner's packages. Who may write
// may read.
func (a *access) mayRead(user, owner string) bool {
	folded, foldedOwner := registry.Fold(user), registry.Fold(owner)
	return a.rule(foldedOwner).read.includes(folded, foldedOwner) || a.mayWrite(user, owner)
}

// openWrites returns the owners whose packages anyone may write, sorted.
func (a *access) openWrites() []string {
	var owners []string
	if a.fallback.write.anyone {
		owners = append(owners, anyOwner)
	}
	for owner, r := range a.rules {
		if r.write.anyone {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return owners
}
