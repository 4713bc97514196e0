package badger

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// PublishDraft implements store.Drafts.
func (s *Store) PublishDraft(ctx context.Context, ref store.VersionRef, expected map[string]store.Digest, act store.Act) (differences []store.Difference, err error) {
	err = s.submit(ctx, operationWeight, func(b *batch) (err error) {
		k, err := b.known(ref)
		if err != nil || !k.exists {
			return orNotFound(err, store.ErrPackageNotFound)
		}
		if expected != nil {
			if differences, err = b.compare(k.version.id, expected); err != nil {
				return err
			}
			if len(differences) > 0 {
				return store.ErrDifferent
			}
		}
		if !k.version.draft {
			return nil
		}
		released := b.nextID
		b.announce(&k, released, act.Time)
		b.record(store.PublishDraftChange(ref, int64(released), act))
		return nil
	})
	return differences, err
}

// compare returns how the files of a version differ from those that are expected.
func (b *batch) compare(versionID uint64, expected map[string]store.Digest) ([]store.Difference, error) {
	see, differences := store.Compare(expected)
	prefix := filesKey(versionID)
	err := b.scan(prefix, nil, func(key, value []byte) error {
		var file fileRecord
		if err := decode(key, value, &file); err != nil {
			return err
		}
		see(file.name, file.digest)
		return nil
	})
	return differences(), err
}

// publishDraft is what PublishDraft did.
func (b *batch) publishDraft(ref store.VersionRef, released uint64, at time.Time) error {
	k, err := b.known(ref)
	if err != nil || !k.exists {
		return orNotFound(err, store.ErrPackageNotFound)
	}
	if !k.version.draft {
		return store.ErrNotDraft
	}
	b.announce(&k, released, at)
	return nil
}

// announce makes a draft a published version: its record and its places in the indexes
// change, and no file's.
func (b *batch) announce(k *known, released uint64, at time.Time) {
	all := counts{versions: 1, files: k.version.files, bytes: k.version.bytes}
	k.take(all)
	b.index(k.pkg.id, k.version, func(key []byte, _ codec) { b.delete(key) })
	k.version.draft, k.version.created, k.version.released = false, at.UTC(), released
	k.add(all)
	b.index(k.pkg.id, k.version, b.put)
	b.putKnown(*k)
}

// DeleteDraft implements store.Drafts.
func (s *Store) DeleteDraft(ctx context.Context, ref store.VersionRef, before time.Time, act store.Act) error {
	return s.submit(ctx, operationWeight, func(b *batch) error {
		k, err := b.known(ref)
		if err != nil || !k.exists || !k.version.draft || !k.version.created.Before(before) {
			return orNotFound(err, store.ErrPackageNotFound)
		}
		if err := b.deleteVersion(ref); err != nil {
			return err
		}
		b.record(store.DeleteVersionChange(ref, act))
		return nil
	})
}

// DraftsBefore implements store.Drafts.
func (s *Store) DraftsBefore(ctx context.Context, before time.Time, limit int) (refs []store.VersionRef, err error) {
	end := draftKey(before, 0)
	err = s.view(ctx, func(r reader) error {
		refs = nil
		return unlessEnough(r.eachDraft(ctx, func(key string, version versionRecord) error {
			if key >= string(end) || len(refs) == limit {
				return errEnough
			}
			refs = append(refs, version.info().VersionRef)
			return nil
		}))
	})
	return refs, err
}

// eachDraft calls fn for all drafts, the oldest first.
func (r reader) eachDraft(ctx context.Context, fn func(key string, version versionRecord) error) error {
	return r.scan([]byte(draftPrefix), nil, func(key, value []byte) error {
		var entry indexRecord
		if err := firstError(ctx.Err, func() error { return decode(key, value, &entry) }); err != nil {
			return err
		}
		vKey := versionKey(entry.packageID, entry.version)
		var version versionRecord
		if found, err := r.get(vKey, &version); err != nil || !found {
			return orNotFound(err, damaged(vKey, "an index has it"))
		}
		var pkg packageRecord
		if _, err := r.get(packageKey(version.owner, version.name), &pkg); err != nil || pkg.id != entry.packageID {
			return err // the package is deleted
		}
		return fn(string(key), version)
	})
}

// drafts makes a page of drafts. They are few.
func (l *lister) drafts() (page store.VersionPage, err error) {
	var found []versionRecord
	err = l.eachDraft(l.ctx, func(_ string, version versionRecord) error {
		name := store.Fold(version.name)
		isOfPackage := l.query.Package == "" || l.query.Package == name
		if store.Fold(version.owner) == l.query.Owner && isOfPackage && l.takes(name) {
			found = append(found, version)
		}
		return nil
	})
	if err != nil {
		return page, err
	}
	order := func(v versionRecord) string { return string(newestFirst(v.created, v.id)) }
	slices.SortFunc(found, func(a, b versionRecord) int { return strings.Compare(order(a), order(b)) })
	if l.query.Total {
		page.Total = int64(len(found))
	}
	if after, err := hex.DecodeString(string(l.query.After)); err == nil && len(after) == orderSize {
		found = slices.DeleteFunc(found, func(v versionRecord) bool { return order(v) <= string(after) })
	}
	found = found[min(int64(len(found)), l.skip()):]
	if size := store.PageSize(l.query.Limit); len(found) > size {
		found = found[:size]
		page.Next = store.Cursor(hex.EncodeToString([]byte(order(found[size-1]))))
	}
	for _, version := range found {
		page.Versions = append(page.Versions, version.info())
	}
	return page, nil
}

var _ store.Drafts = (*Store)(nil)
