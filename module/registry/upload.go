package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// NewUpload is an upload that comes in several requests, as a client begins it.
type NewUpload struct {
	Ref     store.Ref
	Creator string
	// Length of the file, -1 when unknown.
	Length int64
	// SHA256 is the digest that the client says the file has. Nil when it says none.
	SHA256 *store.Digest
	// Age is for how long the upload may go on.
	Age time.Duration
	// Most is how many uploads there may be at once in the whole registry.
	Most int
}

// BeginUpload begins an upload that survives a crash. The caller has looked for an
// existing file already. ErrBusy when there are too many; ErrNoSpace, ErrUnavailable,
// ErrQuotaBytes, ErrQuotaVersions, ErrQuotaFiles.
func (r *Registry) BeginUpload(ctx context.Context, begin NewUpload, limits Limits) (store.Session, error) {
	if err := r.loadUploads(ctx); err != nil {
		return store.Session{}, err
	}
	if _, _, err := r.checkQuota(ctx, begin.Ref, Content{Size: begin.Length}, limits); err != nil {
		return store.Session{}, err
	}
	if err := r.admit(ctx); err != nil {
		return store.Session{}, err
	}
	now := r.now()
	session := store.Session{
		ID: store.NewSessionID(), Ref: begin.Ref, Creator: begin.Creator, Length: begin.Length, SHA256: begin.SHA256,
		Created: now, Expires: now.Add(begin.Age), Draft: limits.Draft,
	}
	if err := r.makeRoom(session, begin.Most); err != nil {
		return store.Session{}, err
	}
	beginning, cancel := store.Settled(ctx)
	defer cancel()
	begun, err := r.blobs.BeginSession(beginning, session)
	if err != nil {
		r.uploads.mu.Lock()
		defer r.uploads.mu.Unlock()
		delete(r.uploads.known, session.ID)
		return store.Session{}, fmt.Errorf("beginning an upload: %w", err)
	}
	return begun, nil
}

// makeRoom knows a session, unless there are too many.
func (r *Registry) makeRoom(session store.Session, most int) error {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	if open := len(r.uploads.known) - r.uploads.ended; open >= most {
		return fmt.Errorf("%w: %d that are not finished", store.ErrBusy, open)
	}
	r.knowUpload(session)
	return nil
}

// Upload is how an upload stands.
type Upload struct {
	store.Session
	// File is what the upload became. Nil while it goes on.
	File *store.File
}

// FindUpload returns how an upload of a user to a file stands. A request that appends to
// it is ended first, so that what is told stays true. ErrSessionNotFound.
func (r *Registry) FindUpload(ctx context.Context, ref store.Ref, id store.SessionID, user string) (Upload, error) {
	u, release, err := r.takeUpload(ctx, ref, id, user, nil)
	if err != nil {
		return Upload{}, err
	}
	defer release()
	return r.findUpload(ctx, u, id)
}

// findUpload finds what is taken.
func (r *Registry) findUpload(ctx context.Context, u *upload, id store.SessionID) (Upload, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	if u.file != nil {
		session := store.Session{ID: id, Ref: u.file.Ref, Creator: u.file.Creator, Length: u.file.Size, Offset: u.file.Size, Expires: u.expires, Draft: u.draft}
		return Upload{session, u.file}, nil
	}
	session, err := r.blobs.FindSession(ctx, id)
	if err != nil {
		return Upload{}, fmt.Errorf("finding an upload: %w", err)
	}
	file, err := r.metadata.Lookup(ctx, session.Ref)
	if err != nil && session.Draft { // and the draft is not published yet
		file, err = r.metadata.LookupDraft(ctx, session.Ref)
	}
	if err != nil || file.Locator != session.Locator {
		return Upload{Session: session}, nil
	}
	// It was published, and a crash kept the session from ending.
	return Upload{session, &file}, r.forgetUpload(ctx, session, u, &file)
}

// CancelUpload ends an upload of a user to a file, and deletes its bytes. What is
// published already stays. ErrSessionNotFound.
func (r *Registry) CancelUpload(ctx context.Context, ref store.Ref, id store.SessionID, user string) error {
	u, release, err := r.takeUpload(ctx, ref, id, user, nil)
	if err != nil {
		return err
	}
	defer release()
	found, err := r.findUpload(ctx, u, id)
	if err != nil || found.File != nil {
		return err
	}
	return r.dropUpload(ctx, found.Session, u)
}
