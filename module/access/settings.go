package access

import (
	"fmt"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// anyOwner is the owner of the rule for every owner without one.
const anyOwner = "*"

// OwnerRule says who may do what with the packages of one owner, and how much
// the owner may store.
//
// A principal is the name of a user; `*` for anyone, anonymous clients too; `@users` for
// any authenticated user; `@owner` for the user whose name is that of the owner; or
// `@group:<name>` for the users of a group. The handler's `groups` says where groups come
// from. Names of owners, users and groups that differ only in case are the same name.
type OwnerRule struct {
	// The owner that the rule is for, or `*` for every owner without a rule of its own.
	// Required. Each owner may have one rule.
	Owner string `json:"owner"`

	Permissions
	Republishing

	// Rules for some of the owner's packages. The first rule whose pattern matches a
	// package counts, and what it leaves out is taken from the owner's rule. The package
	// rules of owner `*` are for the owners without a rule of their own. Default: none.
	Packages []PackageRule `json:"packages,omitempty"`

	// The bytes that all files of the owner may have together. Equal contents count as
	// often as they were published. Zero, the default, means the quota of owner `*`, or no
	// limit where owner `*` has none.
	Quota int64 `json:"quota,omitempty"`

	// The number of versions that all packages of the owner may have together. Zero, the
	// default, means the number of owner `*`, or no limit where owner `*` has none.
	MaxVersions int64 `json:"max_versions,omitempty"`

	// The number of files that all packages of the owner may have together, empty files
	// too. Zero, the default, means the number of owner `*`, or no limit where owner `*`
	// has none.
	MaxFiles int64 `json:"max_files,omitempty"`
}

// IsEmpty tells whether the rule says nothing.
func (r OwnerRule) IsEmpty() bool {
	return r.Permissions.IsZero() && r.Republishing.IsZero() && len(r.Packages) == 0 && r.Quota == 0 && r.MaxVersions == 0 && r.MaxFiles == 0
}

// PackageRule says who may do what with some packages of an owner.
type PackageRule struct {
	// The pattern of the packages that the rule is for: a name in which `*` stands for
	// any number of characters, `?` for one character, and `[a-z]` for one of these
	// characters. Upper and lower case are the same. Required.
	Package string `json:"package"`

	Permissions
	Republishing
}

// IsEmpty tells whether the rule says nothing.
func (r PackageRule) IsEmpty() bool { return r.Permissions.IsZero() && r.Republishing.IsZero() }

// Permissions are the principals who may do something. A list that is left out is taken
// from the surrounding rule: that of the owner for a package, that of owner `*` for an
// owner. A list that is empty is an error.
type Permissions struct {
	// The principals who may read. Principals who may write or delete may read too.
	// Default, without a surrounding rule: `*`.
	Read []string `json:"read,omitempty"`

	// The principals who may publish. Default, without a surrounding rule: `@owner`.
	Write []string `json:"write,omitempty"`

	// The principals who may delete. Default, without a surrounding rule: the principals
	// who may write.
	Delete []string `json:"delete,omitempty"`
}

// IsZero tells whether there is no line at all.
func (p Permissions) IsZero() bool { return p.Read == nil && p.Write == nil && p.Delete == nil }

func builtInRule() *rule {
	return &rule{permissions: permissions{read: principals{anyone: true}, write: principals{owner: true}}}
}

// Compile checks rules and compiles them. The republishing of the handler holds for rules
// that have none.
func Compile(rules []OwnerRule, admins []string, handler Republishing) (*Rules, error) {
	a := &Rules{
		rules:    make(map[string]*rule, len(rules)),
		fallback: builtInRule(),
		admins:   make(map[string]bool, len(admins)),
	}
	for _, admin := range admins {
		if err := CheckUser(admin); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		a.admins[store.Fold(admin)] = true
	}
	if err := handler.Check(len(admins) > 0); err != nil {
		return nil, err
	}
	a.fallback.republishing = handler.within(a.fallback.republishing)
	if i := slices.IndexFunc(rules, func(r OwnerRule) bool { return r.Owner == anyOwner }); i >= 0 {
		fallback, err := a.compileRule(rules[i])
		if err != nil {
			return nil, err
		}
		a.fallback = fallback
	}
	seen := make(map[string]bool, len(rules))
	for _, r := range rules {
		owner := store.Fold(r.Owner)
		if seen[owner] {
			return nil, fmt.Errorf("owner %q has two rules: write them as one", r.Owner)
		}
		seen[owner] = true
		if r.Owner == anyOwner {
			continue
		}
		compiled, err := a.compileRule(r)
		if err != nil {
			return nil, err
		}
		a.rules[owner] = compiled
	}
	return a, nil
}

// compileRule compiles the rule of an owner, within the fallback.
func (a *Rules) compileRule(r OwnerRule) (*rule, error) {
	fail := func(err error) (*rule, error) { return nil, fmt.Errorf("owner %q: %w", r.Owner, err) }
	if err := CheckRuleOwner(r.Owner); err != nil {
		return fail(err)
	}
	if r.IsEmpty() {
		return nil, fmt.Errorf("owner %q has no rule: use one of read, write, delete, on_duplicate, immutable, package, quota, max_versions and max_files", r.Owner)
	}
	if r.Quota < 0 || r.MaxVersions < 0 || r.MaxFiles < 0 {
		return fail(errNegativeQuota)
	}
	own, err := a.compileLines(r.Permissions, r.Republishing, a.fallback.permissions)
	if err != nil {
		return fail(err)
	}
	compiled := &rule{permissions: own, quota: a.fallback.quota}
	if r.Quota > 0 {
		compiled.quota.Bytes = r.Quota
	}
	if r.MaxVersions > 0 {
		compiled.quota.Versions = r.MaxVersions
	}
	if r.MaxFiles > 0 {
		compiled.quota.Files = r.MaxFiles
	}
	for _, p := range r.Packages {
		pattern, err := CheckPackagePattern(p.Package)
		if err != nil {
			return fail(err)
		}
		if p.IsEmpty() {
			return fail(fmt.Errorf("package %q has no rule: use one of read, write, delete, on_duplicate and immutable", p.Package))
		}
		narrowed, err := a.compileLines(p.Permissions, p.Republishing, own)
		if err != nil {
			return fail(fmt.Errorf("package %q: %w", p.Package, err))
		}
		compiled.packages = append(compiled.packages, packageRule{pattern, narrowed})
	}
	return compiled, nil
}

// compileLines compiles the lines of one block, within a surrounding rule.
func (a *Rules) compileLines(p Permissions, r Republishing, around permissions) (permissions, error) {
	if err := r.Check(len(a.admins) > 0); err != nil {
		return permissions{}, err
	}
	compiled, err := compilePermissions(p, around)
	compiled.republishing = r.within(around.republishing)
	return compiled, err
}

// compilePermissions takes lists that are left out from the surrounding rule. Principals who
// may write may delete, unless a surrounding rule has a list for deleting.
func compilePermissions(p Permissions, around permissions) (permissions, error) {
	compiled := around
	for _, line := range []struct {
		word  string
		words []string
		set   func(principals)
	}{
		{"read", p.Read, func(set principals) { compiled.read = set }},
		{"write", p.Write, func(set principals) { compiled.write = set }},
		{"delete", p.Delete, func(set principals) { compiled.delete = &set }},
	} {
		if line.words == nil {
			continue
		}
		if len(line.words) == 0 {
			return permissions{}, fmt.Errorf("%s: the list is empty: leave it out to have that of the surrounding rule, or name who may", line.word)
		}
		set, err := compilePrincipals(line.words)
		if err != nil {
			return permissions{}, fmt.Errorf("%s: %w", line.word, err)
		}
		line.set(set)
	}
	return compiled, nil
}

func compilePrincipals(words []string) (principals, error) {
	p := principals{names: make(map[string]bool), groups: make(map[string]bool)}
	for _, word := range words {
		if err := CheckPrincipal(word); err != nil {
			return principals{}, err
		}
		switch group, isGroup := groupOf(word); {
		case isGroup:
			p.groups[store.Fold(group)] = true
		case word == principalAnyone:
			p.anyone = true
		case word == principalUsers:
			p.users = true
		case word == principalOwner:
			p.owner = true
		default:
			p.names[store.Fold(word)] = true
		}
	}
	return p, nil
}
