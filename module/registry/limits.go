package registry

import (
	"context"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry/admission"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Limits bound what one publish may take, and what it may do.
type Limits struct {
	// Quota of the owner.
	Quota store.Quota
	// Draft publishes into a draft.
	Draft bool
	// OnDuplicate is what happens when the version has a file of that name. Zero refuses it.
	OnDuplicate store.OnDuplicate
	// Current is the ID that the file there must still have, as in store.Publication.
	Current *int64
	// Immutable has files that are published keep their bytes: Replace is Same for them. It
	// says nothing of drafts.
	Immutable bool
	// Uploads that may be in progress at once in the whole registry. An upload counts
	// from its first byte. Zero is no limit.
	Uploads int
	// UserUploads that one user may have in progress at once; anonymous is a user
	// here. Zero is no limit.
	UserUploads int
}

// Duplicate is what happens when the version has a file of that name.
func (l Limits) Duplicate() store.OnDuplicate {
	if l.Immutable && !l.Draft && l.OnDuplicate == store.Replace {
		return store.Same
	}
	return l.OnDuplicate
}

// checkQuota refuses, before the body, what the publish would refuse after it. It returns the
// content with a body that ends where the quota does, and what counts the bytes that come. Of
// the file, so many bytes came already.
func (r *Registry) checkQuota(ctx context.Context, ref store.Ref, content Content, came int64, limits Limits) (Content, *admission.Counted, error) {
	body, counted, err := r.quotas.Check(ctx, admission.Publish{
		Ref: ref, Quota: limits.Quota, Draft: limits.Draft, OnDuplicate: limits.Duplicate(),
		Size: content.Size, SHA256: content.SHA256, Came: came,
	}, content.Body)
	content.Body = body
	return content, counted, err
}

// Admit has a body count as an upload of a user, from its first byte until the function is
// called. ErrBusy when there are too many, now or when it is read. An empty body needs no room.
func (r *Registry) Admit(user string, limits Limits, content Content) (io.Reader, func(), error) {
	body, release, err := r.slots.Admit(user, admission.Most{All: limits.Uploads, User: limits.UserUploads}, content.Body)
	if content.Size == 0 {
		err = nil
	}
	return body, release, err
}
