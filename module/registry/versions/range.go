package versions

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Kind is what a text in place of a version may mean when no version has that name.
type Kind int

const (
	// Literal is the name of a version and nothing else.
	Literal Kind = iota
	// Latest is the highest version.
	Latest
	// Range is the highest version of a range.
	Range
)

// KindOf tells what a text may mean. A range has a comparator, or its last part is an x or
// a star: so a plain version is never one.
func KindOf(version string) Kind {
	if store.Fold(version) == "latest" {
		return Latest
	}
	last := version[strings.LastIndexByte(version, '.')+1:]
	if strings.ContainsAny(version, "^~=<>") || last == "x" || last == "X" || last == "*" {
		return Range
	}
	return Literal
}

// Selected is a range of versions.
type Selected struct {
	text        string
	constraints *semver.Constraints
	excludes    bool // something with !=
}

// ParseRange reads a range. Its errors say what is wrong with the text.
func ParseRange(text string) (Selected, error) {
	constraints, err := semver.NewConstraint(text)
	if err != nil {
		return Selected{}, fmt.Errorf("range of versions: %w", err)
	}
	return Selected{text, constraints, strings.Contains(text, "!")}, nil
}

// Classes are those of which the range can have versions.
func (s Selected) Classes() []string {
	if strings.Contains(s.text, "-") { // which a pre-release follows, whatever else does
		return []string{Stable, Unstable}
	}
	return []string{Stable}
}

// Has tells whether the version of a rank is in the range.
func (s Selected) Has(rank string) bool {
	version, err := parseRank(rank)
	return err == nil && s.constraints.Check(version)
}

// IsStable tells whether a rank is that of a stable version.
func IsStable(rank string) bool { return strings.HasPrefix(rank, Stable) }

// IsPreRelease tells whether a rank is that of a version that says so of itself (Semantic
// Versioning 2.0.0, section 9). Empty is the rank of what is no semantic version.
func IsPreRelease(rank string) bool { return rank != "" && !IsStable(rank) }

// IsHigher tells whether the version of one rank is higher than that of another, of any
// class.
func IsHigher(a, b string) bool { return a[len(Stable):] < b[len(Stable):] }
