package registry

import (
	"context"
	"errors"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// ask asks a store within the time that a request has for one call.
func ask[Q, A any](ctx context.Context, call func(context.Context, Q) (A, error), query Q) (A, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	return call(ctx, query)
}

// Owners lists owners, as store.Catalog does.
func (r *Registry) Owners(ctx context.Context, query store.OwnerQuery) (store.OwnerPage, error) {
	return ask(ctx, r.metadata.Owners, query)
}

// Packages lists packages of an owner, as store.Catalog does.
func (r *Registry) Packages(ctx context.Context, query store.PackageQuery) (store.PackagePage, error) {
	return ask(ctx, r.metadata.Packages, query)
}

// Versions lists versions of an owner or of a package, as store.Catalog does.
func (r *Registry) Versions(ctx context.Context, query store.VersionQuery) (store.VersionPage, error) {
	return ask(ctx, r.metadata.Versions, query)
}

// Foremost tells a package's first versions, as store.Catalog does. ErrPackageNotFound.
func (r *Registry) Foremost(ctx context.Context, owner, pkg string) (store.Foremost, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	return r.metadata.Foremost(ctx, owner, pkg)
}

// Select finds the published version that a text in the place of ref.Version means, as
// versions.Select does. ErrPackageNotFound, also as a *versions.UnstableError.
func (r *Registry) Select(ctx context.Context, ref store.VersionRef) (store.VersionRef, error) {
	return versions.Select(ctx, r, ref)
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

// FindVersion finds a version. ErrPackageNotFound.
func (r *Registry) FindVersion(ctx context.Context, ref store.VersionRef) (store.VersionInfo, error) {
	return ask(ctx, r.metadata.FindVersion, ref)
}

// Files lists files of a version, as store.Catalog does. ErrPackageNotFound.
func (r *Registry) Files(ctx context.Context, query store.FileQuery) (store.FilePage, error) {
	return ask(ctx, r.metadata.Files, query)
}
