package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
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
	// Most is how many uploads that are not finished there may be at once in the whole
	// registry, UserMost how many of them may be of one user; anonymous is a user here.
	Most, UserMost int
	// Announce is called with the upload once it survives a crash, before anything of it is
	// read. It tells whether the client hears of the upload now: if not, an error ends it.
	Announce func(store.Session) (told bool)
}

// BeginUpload begins an upload that survives a crash, and appends to it as AppendUpload
// does. Until it returns, a request that knows the upload from Announce is a later request,
// and ends the reading of this one. The caller has looked for an existing file already.
//
// An Upload without an ID was not begun, or has ended, with nothing of it kept: ErrBusy when
// there are too many; or an error of AppendUpload. With an ID, the errors are those of AppendUpload.
func (r *Registry) BeginUpload(ctx context.Context, begin NewUpload, request Append, limits Limits) (Upload, error) {
	if err := r.loadUploads(ctx); err != nil {
		return Upload{}, err
	}
	if _, _, err := r.checkQuota(ctx, begin.Ref, Content{Size: begin.Length, SHA256: begin.SHA256}, 0, limits); err != nil {
		return Upload{}, err
	}
	if err := r.admit(ctx); err != nil {
		return Upload{}, err
	}
	if _, _, err := r.Admit(begin.Creator, limits, request.Content); err != nil {
		return Upload{}, err
	}
	now := r.now()
	session := store.Session{
		ID: store.NewSessionID(), Ref: begin.Ref, Creator: begin.Creator, Length: begin.Length, SHA256: begin.SHA256,
		Created: now, Expires: now.Add(begin.Age), Draft: limits.Draft, Current: limits.Current,
	}
	u, err := r.makeRoom(session, begin, request.Interrupt)
	if err != nil {
		return Upload{}, err
	}
	defer r.releaseUpload(u)
	beginning, cancel := waiting.Finishing(ctx)
	defer cancel()
	alive := r.metadata.Clock()
	begun, err := r.blobs.BeginSession(beginning, session)
	if err != nil {
		r.noteEnded(session.ID, u, nil)
		return Upload{}, fmt.Errorf("beginning an upload: %w", err)
	}
	r.holdUpload(u, 0, alive)
	request.begins, request.untold = true, !begin.Announce(begun)
	return r.goOn(ctx, u, Upload{Session: begun}, request, limits)
}

// makeRoom knows a session, with its turn taken, unless there are too many.
func (r *Registry) makeRoom(session store.Session, begin NewUpload, interrupt func()) (*upload, error) {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	if open := len(r.uploads.known) - r.uploads.ended; open >= begin.Most {
		return nil, fmt.Errorf("%w: %d that are not finished", store.ErrBusy, open)
	}
	ofUser, user := 0, store.Fold(begin.Creator)
	for _, u := range r.uploads.known {
		if u.file == nil && u.creator == user {
			ofUser++
		}
	}
	if ofUser >= begin.UserMost {
		return nil, fmt.Errorf("%w: %d of this user that are not finished", store.ErrBusy, ofUser)
	}
	u := r.knowUpload(session)
	u.turn <- struct{}{}
	u.interrupt = interrupt
	return u, nil
}

// Upload is how an upload stands.
type Upload struct {
	store.Session
	// File is what the upload became. Nil while it goes on.
	File *store.File
	// Repeated says that it had become that before the request, of whose body nothing was
	// read.
	Repeated bool
}

// FindUpload returns how an upload of a user to a file stands. A request that appends to
// it is ended first, so that what is told stays true. ErrSessionNotFound.
func (r *Registry) FindUpload(ctx context.Context, ref store.Ref, id store.SessionID, user string) (Upload, error) {
	u, err := r.takeUpload(ctx, ref, id, user, nil)
	if err != nil {
		return Upload{}, err
	}
	defer r.releaseUpload(u)
	return r.findUpload(ctx, u, id)
}

// findUpload finds what is taken.
func (r *Registry) findUpload(ctx context.Context, u *upload, id store.SessionID) (Upload, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	if u.file != nil {
		session := store.Session{ID: id, Ref: u.file.Ref, Creator: u.file.Creator, Length: u.file.Size, Offset: u.file.Size, Expires: u.expires, Draft: u.draft}
		return Upload{Session: session, File: u.file}, nil
	}
	session, err := r.sessionOf(ctx, u, id)
	if err != nil {
		return Upload{}, fmt.Errorf("finding an upload: %w", err)
	}
	if !u.doubtful {
		return Upload{Session: session}, nil
	}
	file, ended, err := r.becameOf(ctx, session)
	if err != nil {
		return Upload{}, fmt.Errorf("asking what became of an upload: %w", err)
	}
	if !ended {
		u.doubtful = false
		return Upload{Session: session}, nil
	}
	if err := r.forgetUpload(ctx, session, u, file); err != nil || file != nil {
		return Upload{Session: session, File: file}, err
	}
	return Upload{}, store.ErrSessionNotFound
}

// becameOf tells whether an upload has ended before its session did, as a crash leaves it,
// and the file that it became. Nil when it was refused, or the file is not there any more.
// The bytes are then the reaper's.
func (r *Registry) becameOf(ctx context.Context, session store.Session) (file *store.File, ended bool, err error) {
	if err := r.IsBehind(); err != nil {
		return nil, false, err // the metadata may not know what was published
	}
	unnamed, err := r.metadata.Unnamed(ctx, []store.Locator{session.Locator})
	if err != nil || len(unnamed) > 0 {
		return nil, false, err
	}
	found, err := r.metadata.Lookup(ctx, session.Ref)
	if session.Draft && errors.Is(err, store.ErrPackageNotFound) { // the draft is not published yet
		found, err = r.metadata.LookupDraft(ctx, session.Ref)
	}
	switch {
	case errors.Is(err, store.ErrPackageNotFound), errors.Is(err, store.ErrFileNotFound):
		return nil, true, nil
	case err != nil:
		return nil, false, err
	case found.Locator != session.Locator:
		return nil, true, nil
	}
	return &found, true, nil
}

// CancelUpload ends an upload of a user to a file, and deletes its bytes. What is
// published already stays. ErrSessionNotFound.
func (r *Registry) CancelUpload(ctx context.Context, ref store.Ref, id store.SessionID, user string) error {
	u, err := r.takeUpload(ctx, ref, id, user, nil)
	if err != nil {
		return err
	}
	defer r.releaseUpload(u)
	found, err := r.findUpload(ctx, u, id)
	if err != nil || found.File != nil {
		return err
	}
	return r.dropUpload(ctx, found.Session, u)
}
