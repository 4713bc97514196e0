package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
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

// Select finds the published version that a text in the place of ref.Version means when no
// version has that name: latest, or a range (versions.KindOf). It is the highest that is
// meant, of equal ones the newest. Where no version of a package is a semantic one, latest
// is the newest. ErrPackageNotFound when the text means none, also as an UnstableError.
func (r *Registry) Select(ctx context.Context, ref store.VersionRef) (store.VersionRef, error) {
	switch versions.KindOf(ref.Version) {
	case versions.Latest:
		return r.latest(ctx, ref.Owner, ref.Package)
	case versions.Range:
		wanted, err := versions.ParseRange(ref.Version)
		if err != nil {
			return store.VersionRef{}, fmt.Errorf("%w: %w", store.ErrPackageNotFound, err)
		}
		return r.highest(ctx, ref, wanted)
	}
	return store.VersionRef{}, store.ErrPackageNotFound
}

// Resolve finds the version of a name or, where there is none, the one that Select finds.
func (r *Registry) Resolve(ctx context.Context, ref store.VersionRef) (store.VersionInfo, error) {
	named, err := r.FindVersion(ctx, ref)
	if !errors.Is(err, store.ErrPackageNotFound) {
		return named, err
	}
	if ref, err = r.Select(ctx, ref); err != nil {
		return store.VersionInfo{}, err
	}
	return r.FindVersion(ctx, ref)
}

func (r *Registry) latest(ctx context.Context, owner, pkg string) (store.VersionRef, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	first, err := r.metadata.Foremost(ctx, owner, pkg)
	switch {
	case err != nil:
		return store.VersionRef{}, err
	case first.Rank == "":
		return first.Newest, nil
	case versions.IsStable(first.Rank):
		return first.Highest, nil
	}
	return store.VersionRef{}, &UnstableError{Newest: first.Newest}
}

// highest finds the highest version in a range, of the classes that the range has.
func (r *Registry) highest(ctx context.Context, ref store.VersionRef, wanted versions.Selected) (store.VersionRef, error) {
	var found store.VersionInfo
	for _, class := range wanted.Classes() {
		first, err := r.firstInRange(ctx, ref, wanted, class)
		if err != nil {
			return store.VersionRef{}, err
		}
		if found.Rank == "" || first.Rank != "" && versions.IsHigher(first.Rank, found.Rank) {
			found = first
		}
	}
	if found.Rank == "" {
		return store.VersionRef{}, store.ErrPackageNotFound
	}
	return found.VersionRef, nil
}

// firstInRange returns the first version of a class that is in a range, or the zero one.
func (r *Registry) firstInRange(ctx context.Context, ref store.VersionRef, wanted versions.Selected, class string) (store.VersionInfo, error) {
	for span := range wanted.Spans(class) {
		query := store.VersionQuery{Owner: ref.Owner, Package: ref.Package, Order: store.HighestFirst, Ranks: span, Limit: 1}
		for more := true; more; more = query.After != "" {
			page, err := r.Versions(ctx, query)
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
