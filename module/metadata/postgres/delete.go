package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/changes"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// remove makes a change that answers with done, or with what is missing.
func (s *Store) remove(ctx context.Context, c *database.Change) error {
	var outcome string
	c.Scan = func(answer pgx.Row) error { return answer.Scan(&outcome) }
	if err := s.db.Submit(ctx, c); err != nil {
		return err
	}
	switch outcome {
	case "done":
		return nil
	case "no_version":
		return store.ErrPackageNotFound
	case "no_file":
		return store.ErrFileNotFound
	case "changed":
		return store.ErrChanged
	}
	return fmt.Errorf("PostgreSQL: deleting ended with %q", outcome)
}

// DeleteFile implements store.MetadataStore.
func (s *Store) DeleteFile(ctx context.Context, ref store.Ref, act store.Act) error {
	key := ref.Key()
	if !isName(key.Owner, key.Package, key.Version) {
		return s.absent(ctx, store.ErrPackageNotFound)
	}
	if !isName(key.File) {
		return s.absent(ctx, store.ErrFileNotFound)
	}
	return s.remove(ctx, &database.Change{
		SQL:   `SELECT {s}.told_5({s}.delete_file_1($1, $2, $3, $4, $5, $7), true, $6, NULL, NULL)`,
		Args:  []any{key.Owner, key.Package, key.Version, key.File, isDraft(act.Only), changes.Line(store.DeleteFileChange(ref, act)), act.Current},
		Locks: database.Locks{Owners: []string{key.Owner}, File: &key},
	})
}

// isDraft is what a version must be in a state. Nil is either.
func isDraft(only store.State) *bool {
	if only == store.Any {
		return nil
	}
	draft := only.Has(true)
	return &draft
}

// DeleteVersion implements store.MetadataStore.
func (s *Store) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	return s.deleteVersion(ctx, ref, nil, isDraft(act.Only), act)
}

// DeleteDraft implements store.Drafts.
func (s *Store) DeleteDraft(ctx context.Context, ref store.VersionRef, before time.Time, act store.Act) error {
	ns := before.UnixNano()
	return s.deleteVersion(ctx, ref, &ns, nil, act)
}

func (s *Store) deleteVersion(ctx context.Context, ref store.VersionRef, before *int64, draft *bool, act store.Act) error {
	key := ref.Key()
	if !isName(key.Owner, key.Package, key.Version) {
		return s.absent(ctx, store.ErrPackageNotFound)
	}
	return s.remove(ctx, &database.Change{
		SQL:   `SELECT {s}.told_5({s}.delete_version_1($1, $2, $3, $4, $5), true, $6, NULL, NULL)`,
		Args:  []any{key.Owner, key.Package, key.Version, before, draft, changes.Line(store.DeleteVersionChange(ref, act))},
		Locks: database.Locks{Owners: []string{key.Owner}},
	})
}

// DeletePackage implements store.MetadataStore.
func (s *Store) DeletePackage(ctx context.Context, owner, pkg string, act store.Act) error {
	line := changes.Line(store.DeletePackageChange(owner, pkg, act))
	owner, pkg = store.Fold(owner), store.Fold(pkg)
	if !isName(owner, pkg) {
		return s.absent(ctx, store.ErrPackageNotFound)
	}
	return s.remove(ctx, &database.Change{
		SQL:   `SELECT {s}.told_5({s}.delete_package_1($1, $2), true, $3, NULL, NULL)`,
		Args:  []any{owner, pkg, line},
		Locks: database.Locks{Owners: []string{owner}},
	})
}
