package registry

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Owners lists owners, as store.Catalog does.
func (r *Registry) Owners(ctx context.Context, query store.OwnerQuery) (store.OwnerPage, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.Owners(ctx, query)
}

// Packages lists packages of an owner, as store.Catalog does.
func (r *Registry) Packages(ctx context.Context, query store.PackageQuery) (store.PackagePage, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.Packages(ctx, query)
}

// Versions lists versions of an owner or of a package, as store.Catalog does.
func (r *Registry) Versions(ctx context.Context, query store.VersionQuery) (store.VersionPage, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.Versions(ctx, query)
}

// Foremost tells a package's first versions, as store.Catalog does. ErrPackageNotFound.
func (r *Registry) Foremost(ctx context.Context, owner, pkg string) (store.Foremost, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.Foremost(ctx, owner, pkg)
}

// FindVersion finds a version. ErrPackageNotFound.
func (r *Registry) FindVersion(ctx context.Context, ref store.VersionRef) (store.VersionInfo, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.FindVersion(ctx, ref)
}

// Files lists files of a version, as store.Catalog does. ErrPackageNotFound.
func (r *Registry) Files(ctx context.Context, query store.FileQuery) (store.FilePage, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	return r.metadata.Files(ctx, query)
}
