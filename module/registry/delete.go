package registry

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// DeleteFile deletes a file, and its version when it was the last one. The act happens now.
// ErrPackageNotFound, ErrFileNotFound, ErrChanged, ErrNoSpace, ErrUnavailable.
func (r *Registry) DeleteFile(ctx context.Context, ref store.Ref, act store.Act) error {
	act.Time = r.now()
	return r.delete(ctx, "file", func(ctx context.Context) error { return r.metadata.DeleteFile(ctx, ref, act) })
}

// DeleteVersion deletes a version with all its files. The act happens now.
// ErrPackageNotFound, ErrNoSpace, ErrUnavailable.
func (r *Registry) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	act.Time = r.now()
	return r.delete(ctx, "version", func(ctx context.Context) error { return r.metadata.DeleteVersion(ctx, ref, act) })
}

// DeletePackage deletes a package with all its versions. ErrPackageNotFound, ErrNoSpace,
// ErrUnavailable.
func (r *Registry) DeletePackage(ctx context.Context, owner, pkg, user string) error {
	act := store.Act{User: user, Time: r.now()}
	return r.delete(ctx, "package", func(ctx context.Context) error { return r.metadata.DeletePackage(ctx, owner, pkg, act) })
}

// delete has the metadata forget something, and then its bytes deleted.
func (r *Registry) delete(ctx context.Context, what string, forget func(context.Context) error) error {
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.IsBehind(); err != nil {
		return err
	}
	if err := forget(ctx); err != nil {
		return fmt.Errorf("deleting %s: %w", what, err)
	}
	r.WakeReaper()
	return nil
}
