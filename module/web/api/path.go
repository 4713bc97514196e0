package api

import (
	"errors"
	"fmt"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Off in place of the path of the API turns it off.
const Off = "off"

// ErrReleases: releases are wanted and there is no API.
var ErrReleases = errors.New("releases are a part of the JSON API, which this site does not have: write api /api/v1, or another path")

// CheckPath returns the segments of the path of the API, nil when there is none. A path that
// meets the prefix, or that is none, is an error.
func CheckPath(path, prefix string) ([]string, error) {
	top, err := visit.ParsePrefix("prefix", prefix)
	if err != nil {
		return nil, err
	}
	switch path {
	case Off:
		return nil, nil
	case "":
		return defaultPath(top), nil
	}
	found, err := visit.ParsePrefix("api", path)
	if err != nil {
		return nil, err
	}
	if New(top, found, Options{Releases: true}).Meets(top) {
		return nil, fmt.Errorf("api is %q: its paths and those under the prefix %q are the same; write a path outside of the prefix", path, prefix)
	}
	return found, nil
}

// defaultPath returns the path of the API that belongs to a prefix: its sibling /api/v1
// when it ends in /api/packages, as Gitea has both. Otherwise nil.
func defaultPath(prefix []string) []string {
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
