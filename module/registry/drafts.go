package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/admission"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// DefaultDraftTTL is how long a draft is kept when KeepDrafts says nothing else.
	DefaultDraftTTL = 7 * 24 * time.Hour

	draftInterval = time.Minute
	draftBatch    = 100
)

// KeepDrafts sets how long a draft is kept that is not published, for all of them. Zero
// is DefaultDraftTTL. Before it is called, all drafts are kept.
func (r *Registry) KeepDrafts(ttl time.Duration) {
	r.draftTTL.Store(int64(cmp.Or(ttl, DefaultDraftTTL)))
}

// PublishDraft makes a draft visible at once, with all its files. With expected digests,
// by file name, it must have exactly those files: else ErrDifferent with the differences,
// and nothing changes. A version that is published already is compared and stays.
// ErrPackageNotFound, ErrNoSpace, ErrUnavailable.
func (r *Registry) PublishDraft(ctx context.Context, ref store.VersionRef, expected map[string]store.Digest, user string) ([]store.Difference, error) {
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.IsBehind(); err != nil {
		return nil, err
	}
	differences, err := r.metadata.PublishDraft(ctx, ref, expected, store.Act{User: user, Time: r.now()})
	if err != nil {
		return differences, fmt.Errorf("publishing draft: %w", err)
	}
	return nil, nil
}

// CheckPublish says before the body what Publish would refuse after it: ErrExists,
// ErrDraft, ErrNotDraft. It returns the file that has the name already, if any.
func (r *Registry) CheckPublish(ctx context.Context, ref store.Ref, limits Limits) (existing store.File, exists bool, err error) {
	return admission.CheckName(ctx, r.metadata, ref, limits.Draft, limits.Duplicate())
}

// EndDrafts deletes drafts that were begun too long ago, and returns how many. One that
// cannot be deleted does not keep the others.
func (r *Registry) EndDrafts(ctx context.Context) (ended int, err error) {
	ttl := time.Duration(r.draftTTL.Load())
	if ttl == 0 {
		return 0, nil // it is not known yet
	}
	now := r.age()
	kept := make(map[store.VersionRef]error)
	for {
		refs, err := r.metadata.DraftsBefore(ctx, now.Add(-ttl), len(kept)+draftBatch)
		refs = slices.DeleteFunc(refs, func(ref store.VersionRef) bool { return kept[ref] != nil })
		if err != nil || len(refs) == 0 || r.IsBehind() != nil {
			return ended, errors.Join(append(slices.Collect(maps.Values(kept)), err)...)
		}
		for _, ref := range refs {
			err := r.metadata.DeleteDraft(ctx, ref, now.Add(-ttl), store.Act{Time: now, Only: store.Drafted})
			switch {
			case err == nil || errors.Is(err, store.ErrPackageNotFound):
				ended++
			case errors.Is(err, store.ErrDamaged):
				kept[ref] = fmt.Errorf("deleting draft %s of %s: %w", ref.Version, ref.Package, err)
			default:
				return ended, err
			}
		}
		r.WakeReaper()
	}
}
