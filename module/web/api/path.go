package api

import (
	"slices"
)

// DefaultPath returns the path of the API that belongs to a prefix: its sibling /api/v1
// when it ends in /api/packages, as Gitea has both. Otherwise nil.
func DefaultPath(prefix []string) []string {
	above := len(prefix) - 1
	if above < 1 || prefix[above] != "packages" || prefix[above-1] != "api" {
		return nil
	}
	return slices.Concat(prefix[:above], []string{"v1"})
}
