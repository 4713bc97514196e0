package access

import (
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Warning is what somebody who reads the rules should think about twice.
type Warning struct{ message, owner, pkg string }

// Warnings lists writes open to anyone and rules that can never match.
func (a *Rules) Warnings(groupsKnown bool) (all []Warning) {
	all = append(all, a.fallback.warnings(anyOwner, groupsKnown)...)
	for _, owner := range slices.Sorted(maps.Keys(a.rules)) {
		all = append(all, a.rules[owner].warnings(owner, groupsKnown)...)
	}
	return all
}

func (r *rule) warnings(owner string, groupsKnown bool) (all []Warning) {
	all = append(all, r.permissions.warnings(owner, "", groupsKnown)...)
	for i, p := range r.packages {
		pattern := p.pattern.String()
		if !p.pattern.MatchesSome(naming.ValidPackage) {
			all = append(all, Warning{"the rule never matches: no package can have such a name", owner, pattern})
		}
		if slices.ContainsFunc(r.packages[:i], func(earlier packageRule) bool { return earlier.pattern.Covers(p.pattern) }) {
			all = append(all, Warning{"the rule never matches: an earlier rule matches all of its packages", owner, pattern})
		}
		all = append(all, p.permissions.warnings(owner, pattern, groupsKnown)...)
	}
	return all
}

func (p *permissions) warnings(owner, pkg string, groupsKnown bool) (all []Warning) {
	if p.write.anyone {
		all = append(all, Warning{"anyone may publish, without authentication", owner, pkg})
	}
	if p.delete != nil && p.delete.anyone || p.delete == nil && p.write.anyone {
		all = append(all, Warning{"anyone may delete, without authentication", owner, pkg})
	}
	if p.onDuplicate == store.Replace && !p.immutable && p.delete != nil && !p.delete.covers(&p.write) {
		all = append(all, Warning{"users who may write may replace published files, although fewer users may delete them", owner, pkg})
	}
	if groupsKnown {
		return all
	}
	for _, set := range []*principals{&p.read, &p.write, p.delete} {
		if set != nil && len(set.groups) > 0 {
			return append(all, Warning{"the rule names a group, which never matches without a groups placeholder", owner, pkg})
		}
	}
	return all
}

func LogWarnings(log *zap.Logger, warnings []Warning) {
	for _, w := range warnings {
		fields := []zap.Field{zap.String("owner", w.owner)}
		if w.pkg != "" {
			fields = append(fields, zap.String("package", w.pkg))
		}
		log.Warn(w.message, fields...)
	}
}
