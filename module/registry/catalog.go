package registry

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// ask asks a store within the time that a request has for one call.
func ask[Q, A any](ctx context.Context, call func(context.Context, Q) (A, error), query Q) (A, error) {
	ctx, cancel := store.Bounded(ctx)
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
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.Foremost(ctx, owner, pkg)
}

// FindVersion finds a version. ErrPackageNotFound.
func (r *Registry) FindVersion(ctx context.Context, ref store.VersionRef) (store.VersionInfo, error) {
	return ask(ctx, r.metadata.FindVersion, ref)
}

// Files lists files of a version, as store.Catalog does. ErrPackageNotFound.
func (r *Registry) Files(ctx context.Context, query store.FileQuery) (store.FilePage, error) {
	return ask(ctx, r.metadata.Files, query)
}
