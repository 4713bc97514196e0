package versions

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// UnstableError: a package has pre-releases only, which latest never means.
type UnstableError struct {
	// Newest of them by time.
	Newest store.VersionRef
}

func (e *UnstableError) Error() string {
	return fmt.Sprintf("%v: every version is a pre-release; the newest is %s", store.ErrPackageNotFound, e.Newest.Version)
}

// Unwrap returns ErrPackageNotFound.
func (e *UnstableError) Unwrap() error { return store.ErrPackageNotFound }

// Lister lists versions, as store.Catalog does.
type Lister interface {
	// Foremost returns the first versions of a package.
	Foremost(ctx context.Context, owner, pkg string) (store.Foremost, error)
	// Versions returns a page of versions.
	Versions(ctx context.Context, query store.VersionQuery) (store.VersionPage, error)
}

// Select finds the published version that a text in the place of ref.Version means when no
// version has that name: latest, or a range (KindOf). It is the highest that is
// meant, of equal ones the newest. Where no version of a package is a semantic one, latest
// is the newest. ErrPackageNotFound when the text means none, also as an UnstableError.
func Select(ctx context.Context, list Lister, ref store.VersionRef) (store.VersionRef, error) {
	switch KindOf(ref.Version) {
	case Latest:
		return latest(ctx, list, ref.Owner, ref.Package)
	case Range:
		wanted, err := ParseRange(ref.Version)
		if err != nil {
			return store.VersionRef{}, fmt.Errorf("%w: %w", store.ErrPackageNotFound, err)
		}
		return highest(ctx, list, ref, wanted)
	}
	return store.VersionRef{}, store.ErrPackageNotFound
}

func latest(ctx context.Context, list Lister, owner, pkg string) (store.VersionRef, error) {
	first, err := list.Foremost(ctx, owner, pkg)
	switch {
	case err != nil:
		return store.VersionRef{}, err
	case first.Rank == "":
		return first.Newest, nil
	case IsStable(first.Rank):
		return first.Highest, nil
	}
	return store.VersionRef{}, &UnstableError{Newest: first.Newest}
}

// highest finds the highest version in a range, of the classes that the range has.
func highest(ctx context.Context, list Lister, ref store.VersionRef, wanted Selected) (store.VersionRef, error) {
	var found store.VersionInfo
	for _, class := range wanted.Classes() {
		first, err := firstInRange(ctx, list, ref, wanted, class)
		if err != nil {
			return store.VersionRef{}, err
		}
		if found.Rank == "" || first.Rank != "" && IsHigher(first.Rank, found.Rank) {
			found = first
		}
	}
	if found.Rank == "" {
		return store.VersionRef{}, store.ErrPackageNotFound
	}
	return found.VersionRef, nil
}

// firstInRange returns the first version of a class that is in a range, or the zero one.
func firstInRange(ctx context.Context, list Lister, ref store.VersionRef, wanted Selected, class string) (store.VersionInfo, error) {
	for span := range wanted.Spans(class) {
		query := store.VersionQuery{Owner: ref.Owner, Package: ref.Package, Order: store.HighestFirst, Ranks: span, Limit: 1}
		for more := true; more; more = query.After != "" {
			page, err := list.Versions(ctx, query)
			if err != nil {
				return store.VersionInfo{}, err
			}
			for _, version := range page.Versions {
				if wanted.Has(version.Rank) {
					return version, nil
				}
			}
			query.After, query.Limit = page.Next, store.MaxPage
		}
	}
	return store.VersionInfo{}, nil
}
