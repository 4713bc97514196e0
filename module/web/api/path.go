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

// siteOf returns the path of the site whose API is under a path: Gitea's is at api/v1 below
// its own, and clients look for the rest of Gitea there.
func siteOf(path []string) []string {
	above := len(path) - 2
	if above < 0 || path[above] != "api" || path[above+1] != "v1" {
		return path
	}
	return path[:above]
}
