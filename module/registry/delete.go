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
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.IsBehind(); err != nil {
		return err
	}
	if err := r.metadata.DeleteFile(ctx, ref, act); err != nil {
		return fmt.Errorf("deleting file: %w", err)
	}
	r.WakeReaper()
	return nil
}

// DeleteVersion deletes a version with all its files. The act happens now.
// ErrPackageNotFound, ErrNoSpace, ErrUnavailable.
func (r *Registry) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	act.Time = r.now()
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.IsBehind(); err != nil {
		return err
	}
	if err := r.metadata.DeleteVersion(ctx, ref, act); err != nil {
		return fmt.Errorf("deleting version: %w", err)
	}
	r.WakeReaper()
	return nil
}

// DeletePackage deletes a package with all its versions. ErrPackageNotFound, ErrNoSpace,
// ErrUnavailable.
func (r *Registry) DeletePackage(ctx context.Context, owner, pkg, user string) error {
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.IsBehind(); err != nil {
		return err
	}
	if err := r.metadata.DeletePackage(ctx, owner, pkg, store.Act{User: user, Time: r.now()}); err != nil {
		return fmt.Errorf("deleting package: %w", err)
	}
	r.WakeReaper()
	return nil
}
