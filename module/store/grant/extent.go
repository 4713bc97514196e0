package grant

import (
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Extent is to how many of an owner's packages something applies, those of tomorrow too.
type Extent int

// The extents, from the least to the most.
const (
	ExtentNone Extent = iota
	ExtentSome        // which ones, only their names tell
	ExtentAll
)

// Extent tells for how much of an owner's packages the scope has an action.
func (s Scope) Extent(what Action, owner string) Extent {
	switch {
	case !s.has(what) || !matchesAny(s.Owners, owner):
		return ExtentNone
	case len(s.Packages) == 0 || slices.ContainsFunc(s.Packages, naming.Pattern.IsAll):
		return ExtentAll
	}
	return ExtentSome
}
