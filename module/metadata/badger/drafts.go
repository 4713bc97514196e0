package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// PublishDraft implements store.Drafts.
func (s *Store) PublishDraft(ctx context.Context, ref store.VersionRef, expected map[string]store.Digest, act store.Act) ([]store.Difference, error) {
	return ask(ctx, s, operationWeight, func(b *batch) (differences []store.Difference, err error) {
		k, err := b.known(ref)
		if err != nil || !k.exists {
			return nil, orNotFound(err, store.ErrPackageNotFound)
		}
		if expected != nil {
			if differences, err = b.compare(k.version.id, expected); err != nil {
				return differences, err
			}
			if len(differences) > 0 {
				return differences, store.ErrDifferent
			}
		}
		if !k.version.draft {
			return differences, nil
		}
		released := b.nextID
		b.announce(&k, released, act.Time)
		change := store.PublishDraftChange(ref, int64(released), act)
		change.VersionID = int64(k.version.id)
		b.record(change)
		return differences, nil
	})
}

// compare returns how the files of a version differ from those that are expected.
func (b *batch) compare(versionID uint64, expected map[string]store.Digest) ([]store.Difference, error) {
	see, differences := store.Compare(expected)
	prefix := filesKey(versionID)
	err := b.scan(prefix, nil, func(key, value []byte) error {
		var file fileRecord
		if err := coding.Decode(key, value, &file); err != nil {
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
	b.index(k.pkg.id, k.version, func(key []byte, _ coding.Record) { b.delete(key) })
	k.version.draft, k.version.created, k.version.released = false, at.UTC(), released
	k.add(all)
	b.index(k.pkg.id, k.version, b.put)
	b.putKnown(*k)
}

// DeleteDraft implements store.Drafts.
func (s *Store) DeleteDraft(ctx context.Context, ref store.VersionRef, before time.Time, act store.Act) error {
	return s.change(ctx, store.DeleteVersionChange(ref, act), func(b *batch) error {
		k, err := b.known(ref)
		if err != nil || !k.exists || !k.version.draft || !k.version.created.Before(before) {
			return orNotFound(err, store.ErrPackageNotFound)
		}
		return b.deleteVersion(ref)
	})
}

// DraftsBefore implements store.Drafts.
func (s *Store) DraftsBefore(ctx context.Context, before time.Time, limit int) (refs []store.VersionRef, err error) {
	end := draftKey(before, 0)
	var lost []error
	err = s.view(ctx, func(r reader) error {
		refs, lost = nil, nil
		return unlessEnough(r.scan([]byte(draftPrefix), nil, func(key, value []byte) error {
			if bytes.Compare(key, end) >= 0 || len(refs) == limit {
				return errEnough
			}
			ref, alive, err := r.draftOf(ctx, key, value)
			switch {
			case errors.Is(err, store.ErrDamaged):
				lost = append(lost, err)
			case err != nil:
				return err
			case alive:
				refs = append(refs, ref)
			}
			return nil
		}))
	})
	if err == nil {
		s.noteLostDrafts(lost)
	}
	return refs, err
}

// noteLostDrafts has the condition of the store say that drafts cannot be read.
func (s *Store) noteLostDrafts(lost []error) {
	if len(lost) == 0 {
		s.lostDrafts.Store(nil)
		return
	}
	damage := fmt.Errorf("%d drafts cannot be read, and stay: %w", len(lost), lost[0])
	if s.lostDrafts.Swap(&damage) == nil {
		s.log.Error("drafts cannot be read, and stay", slog.Int("drafts", len(lost)), slog.Any("error", lost[0]))
	}
}

// draftOf reads the draft of an entry of the index, unless its package is deleted.
func (r reader) draftOf(ctx context.Context, key, value []byte) (ref store.VersionRef, alive bool, err error) {
	var entry indexRecord
	if err := firstError(ctx.Err, func() error { return coding.Decode(key, value, &entry) }); err != nil {
		return ref, false, err
	}
	vKey := versionKey(entry.packageID, entry.version)
	var version versionRecord
	if found, err := r.get(vKey, &version); err != nil || !found {
		return ref, false, orNotFound(err, coding.Damaged(vKey, "an index has it"))
	}
	deleted, err := r.isDeleted(entry.packageID)
	return version.info().VersionRef, !deleted, err
}

// drafts makes a page of the drafts of an owner.
func (l *lister) drafts() (page store.VersionPage, err error) {
	l.query.Order = store.NewestFirst
	takes := func(pkg string) bool { return (l.query.Package == "" || l.query.Package == pkg) && l.takes(pkg) }
	index := draftsKey(l.query.Owner)
	entries, err := l.walk(index, l.skip(), l.size(), takes)
	if err != nil {
		return page, err
	}
	if l.query.Total {
		every := *l
		every.query.After = ""
		all, err := every.walk(index, 0, farthest, takes)
		if err != nil {
			return page, err
		}
		page.Total = int64(len(all))
	}
	return l.fill(page, entries)
}

var _ store.Drafts = (*Store)(nil)
