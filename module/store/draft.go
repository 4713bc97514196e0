package store

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Drafts is the part of MetadataStore for versions that only those see who may write
// them. A draft is made by publishing into it (Publication.Draft), and ends by being
// published or deleted. It is in no list that does not ask for drafts, Lookup and
// FindVersion do not find it, and it counts against quotas.
type Drafts interface {
	// LookupDraft is Lookup for a file of a draft. ErrPackageNotFound when no draft has that
	// name, ErrFileNotFound.
	LookupDraft(ctx context.Context, ref Ref) (File, error)

	// PublishDraft makes a draft a published version, in one step: whoever reads sees all of
	// its files or none. Its time is that of the act, and so is that of its files.
	//
	// With expected digests, by file name, it must have exactly those files: otherwise
	// ErrDifferent with the differences, and nothing changes. A version that is published
	// already is compared just so, and stays as it is. ErrPackageNotFound, ErrNoSpace,
	// ErrUnavailable.
	PublishDraft(ctx context.Context, ref VersionRef, expected map[string]Digest, act Act) ([]Difference, error)

	// DeleteDraft is DeleteVersion for a draft that was begun before a time.
	// ErrPackageNotFound when there is none, ErrNoSpace, ErrUnavailable.
	DeleteDraft(ctx context.Context, ref VersionRef, before time.Time, act Act) error

	// DraftsBefore returns at most limit drafts that were begun before a time, the oldest
	// first. One that is damaged is left out, and told as damage of the store.
	DraftsBefore(ctx context.Context, before time.Time, limit int) ([]VersionRef, error)
}

// DifferenceKind is how a file is not as it should be.
type DifferenceKind string

// The kinds of differences.
const (
	Missing   DifferenceKind = "missing"
	Different DifferenceKind = "different"
	Extra     DifferenceKind = "extra"
)

// Difference is a file that a version should have, or should not.
type Difference struct {
	Kind DifferenceKind
	// File as it is spelled by who expects it; of an Extra one, as it is stored.
	File string
}

// Compare returns the differences of files that there are, told one after the other to the
// function that it returns, from those that are expected.
func Compare(expected map[string]Digest) (see func(file string, digest Digest), differences func() []Difference) {
	type wanted struct {
		file   string
		digest Digest
	}
	missing := make(map[string]wanted, len(expected))
	for file, digest := range expected {
		missing[Fold(file)] = wanted{file, digest}
	}
	var found []Difference
	see = func(file string, digest Digest) {
		want, known := missing[Fold(file)]
		delete(missing, Fold(file))
		switch {
		case !known:
			found = append(found, Difference{Extra, file})
		case want.digest != digest:
			found = append(found, Difference{Different, want.file})
		}
	}
	return see, func() []Difference {
		for _, want := range missing {
			found = append(found, Difference{Missing, want.file})
		}
		slices.SortFunc(found, func(a, b Difference) int {
			return cmp.Or(cmp.Compare(Fold(a.File), Fold(b.File)), cmp.Compare(a.Kind, b.Kind))
		})
		return found
	}
}
