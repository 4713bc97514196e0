package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Where several processes share the stores, each goes on with any upload. The metadata store
// says whose turn it is. A process asks before it tells how an upload stands, and once it has
// saved bytes, before it tells that: so what was told stays true. One that was stopped
// meanwhile saves what nobody finds, and names no bytes that another one has deleted: they
// stay condemned for longer than it may take from asking to publishing.

// holdUpload says that this process has an upload to itself, as of a time.
func (r *Registry) holdUpload(u *upload, turn int64, alive time.Time) {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	u.held, u.number, u.alive = true, turn, alive
}

// sessionOf returns the session of an upload whose turn here the caller has, and has it be this
// process's. ErrSessionNotFound, ErrOvertaken, ErrDamaged.
func (r *Registry) sessionOf(ctx context.Context, u *upload, id store.SessionID) (store.Session, error) {
	if r.turns == nil {
		return r.blobs.FindSession(ctx, id)
	}
	switch err := r.keepTurn(ctx, u, id); {
	case errors.Is(err, store.ErrOvertaken):
		return r.takeTurn(ctx, u, id)
	case err != nil:
		return store.Session{}, err
	}
	session, err := r.blobs.FindSession(ctx, id)
	if err == nil && session.Turn != u.number {
		return session, store.ErrOvertaken
	}
	return session, err
}

// keepTurn tells, with ErrOvertaken, that an upload is another process's by now, or was never this one's.
func (r *Registry) keepTurn(ctx context.Context, u *upload, id store.SessionID) error {
	if r.turns == nil {
		return nil
	}
	if !u.held {
		return store.ErrOvertaken
	}
	alive := r.metadata.Clock()
	latest, err := r.turns.Turn(ctx, id)
	if err != nil {
		return fmt.Errorf("asking whose turn it is: %w", err)
	}
	if latest != u.number {
		return store.ErrOvertaken
	}
	r.holdUpload(u, latest, alive)
	return nil
}

// takeTurn takes an upload from the process that has it, which may have published it.
func (r *Registry) takeTurn(ctx context.Context, u *upload, id store.SessionID) (store.Session, error) {
	alive := r.metadata.Clock()
	turn, err := r.turns.TakeTurn(ctx, id, u.expires.Add(store.SweepAfter))
	if err != nil {
		return store.Session{}, fmt.Errorf("taking a turn: %w", err)
	}
	u.doubtful = true
	session, err := r.taker.TakeSession(ctx, id, turn)
	if err != nil {
		return session, err
	}
	r.holdUpload(u, turn, alive)
	r.noteUpload(u, session)
	return session, nil
}

// meetUpload learns of an upload that another process began, or that could not be read before.
func (r *Registry) meetUpload(ctx context.Context, id store.SessionID) error {
	r.uploads.mu.Lock()
	u := r.uploads.known[id]
	met := u == nil && r.turns == nil || u != nil && !u.expires.IsZero()
	r.uploads.mu.Unlock()
	if met {
		return nil
	}
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	session, err := r.blobs.FindSession(ctx, id)
	if err != nil {
		return fmt.Errorf("finding an upload: %w", err)
	}
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	if r.uploads.known[id] == u {
		r.knowUpload(session)
	}
	return nil
}

// refreshUploads learns of what other processes have begun, saved and ended: it counts.
func (r *Registry) refreshUploads(ctx context.Context) error {
	sessions, err := r.blobs.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("reading uploads: %w", err)
	}
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	there := make(map[store.SessionID]bool, len(sessions))
	for _, session := range sessions {
		there[session.ID] = true
		switch u := r.uploads.known[session.ID]; {
		case u == nil:
			r.knowUpload(session)
		case u.file == nil && (!u.held || session.Turn > u.number):
			r.countUpload(u, session)
		}
	}
	for id, u := range r.uploads.known {
		if there[id] || u.file != nil {
			continue
		}
		select {
		case u.turn <- struct{}{}: // nobody uses it
			r.countUpload(u, store.Session{})
			delete(r.uploads.known, id)
			<-u.turn
		default:
		}
	}
	return nil
}

// condemnUpload has the bytes of an upload be deleted unless they have a name.
func (r *Registry) condemnUpload(ctx context.Context, session store.Session, u *upload) error {
	if err := r.keepTurn(ctx, u, session.ID); err != nil {
		return err
	}
	condemned, err := r.turns.Condemn(ctx, session.Ref.Owner, session.Locator)
	if err != nil {
		return fmt.Errorf("condemning the bytes of an upload: %w", err)
	}
	if condemned {
		r.WakeReaper()
	}
	return nil
}
