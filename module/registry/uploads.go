package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// expireInterval is the time between two looks for uploads that have expired.
	expireInterval = time.Minute
	// replayTime is for how long an upload that is published answers once more, to a
	// client that the answer did not reach; replays bounds how many do.
	replayTime = 10 * time.Minute
	replays    = 1_000
	// turnWait is how long a request waits for an earlier one on the same upload, which
	// it has interrupted.
	turnWait          = 30 * time.Second
	interruptInterval = 50 * time.Millisecond
)

// uploads are the sessions of a registry, as far as they are in memory: some hundred
// bytes for each. All else is in the store.
type uploads struct {
	mu      sync.Mutex
	known   map[store.SessionID]*upload // nil before they are read from the store
	loading chan struct{}               // has one place, for who reads them
	ended   int                         // published ones that are known
}

// upload is what is known of one session. The registry's mutex guards it.
type upload struct {
	ref     store.Ref   // folded
	creator string      // folded
	counted int64       // bytes that count against the owner's quota
	again   bool        // they are those of a file that is there
	expires time.Time   // zero when the session could not be read
	draft   bool        // the file is one of a draft
	file    *store.File // once it is published
	// doubtful: an earlier process, or another one, may have published it. Who has the turn asks.
	doubtful bool

	// held: the process has the upload to itself, in a turn of store.Turns, as it was told at a
	// time. Who has the turn here sets them.
	held   bool
	number int64
	alive  time.Time

	turn      chan struct{} // has one place, for who uses the session
	latest    int           // of those who asked for it
	interrupt func()        // ends the reading of who uses it
}

// loadUploads learns of the sessions that are in the store, once. Who comes meanwhile waits
// for that.
func (r *Registry) loadUploads(ctx context.Context) error {
	if r.uploads.isLoaded() {
		return nil
	}
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	select {
	case r.uploads.loading <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for uploads to be read: %w", store.ErrUnavailable, ctx.Err())
	}
	defer func() { <-r.uploads.loading }()
	if r.uploads.isLoaded() {
		return nil
	}
	end := waiting.Attend(r.log, "reading uploads")
	sessions, err := r.blobs.Sessions(ctx)
	end()
	if err != nil {
		return fmt.Errorf("reading uploads: %w", err)
	}
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	r.uploads.known = make(map[store.SessionID]*upload, len(sessions))
	for _, session := range sessions {
		r.knowUpload(session)
	}
	return nil
}

// isLoaded tells whether it is known which sessions there are.
func (u *uploads) isLoaded() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known != nil
}

// knowUpload requires r.uploads.mu. What is begun here has no locator yet.
func (r *Registry) knowUpload(session store.Session) *upload {
	u := &upload{
		ref: session.Ref.Key(), creator: store.Fold(session.Creator), expires: session.Expires, draft: session.Draft,
		doubtful: session.Locator != "", turn: make(chan struct{}, 1),
	}
	r.uploads.known[session.ID] = u
	r.countUpload(u, session)
	return u
}

// countUpload has the bytes of an upload's session count. Requires r.uploads.mu.
func (r *Registry) countUpload(u *upload, session store.Session) {
	r.quotas.Add(u.ref.Owner, session.Again, session.Offset)
	r.quotas.Add(u.ref.Owner, u.again, -u.counted)
	u.counted, u.again = session.Offset, session.Again
}

// noteUpload has the saved bytes of a session count.
func (r *Registry) noteUpload(u *upload, session store.Session) {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	r.countUpload(u, session)
}

// noteEnded keeps what an upload became, for a client that asks again. Without a file
// it became nothing.
func (r *Registry) noteEnded(id store.SessionID, u *upload, file *store.File) {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	r.countUpload(u, store.Session{})
	if u.file != nil {
		return
	}
	if file == nil || r.uploads.ended >= replays {
		delete(r.uploads.known, id)
		return
	}
	r.uploads.ended++
	u.file, u.expires = file, r.now().Add(replayTime)
}

// takeUpload waits until an upload of a user to a file is for this caller alone, which
// releaseUpload ends. The later of two callers has it: the earlier one's interrupt is
// called, which ends the reading of its body. ErrSessionNotFound, ErrOvertaken,
// ErrUnavailable.
func (r *Registry) takeUpload(ctx context.Context, ref store.Ref, id store.SessionID, user string, interrupt func()) (*upload, error) {
	if err := r.loadUploads(ctx); err != nil {
		return nil, err
	}
	if err := r.meetUpload(ctx, id); err != nil {
		return nil, err
	}
	r.uploads.mu.Lock()
	u := r.uploads.known[id]
	if u == nil || !r.now().Before(u.expires) || u.ref != ref.Key() || u.creator != store.Fold(user) {
		r.uploads.mu.Unlock()
		return nil, store.ErrSessionNotFound
	}
	u.latest++
	mine := u.latest
	r.uploads.mu.Unlock()
	if err := r.awaitTurn(ctx, u); err != nil {
		return nil, err
	}
	r.uploads.mu.Lock()
	// Who only asks, or gives the upload up, is done in a moment.
	overtaken := u.latest != mine && interrupt != nil
	if !overtaken {
		u.interrupt = interrupt
	}
	r.uploads.mu.Unlock()
	if overtaken {
		r.releaseUpload(u)
		return nil, store.ErrOvertaken
	}
	return u, nil
}

// releaseUpload lets the next caller have an upload.
func (r *Registry) releaseUpload(u *upload) {
	r.uploads.mu.Lock()
	u.interrupt = nil
	r.uploads.mu.Unlock()
	<-u.turn
}

// awaitTurn interrupts who uses an upload until it has the turn. Once may not be enough:
// a reader that was about to read sets a deadline of its own.
func (r *Registry) awaitTurn(ctx context.Context, u *upload) error {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	again := time.NewTicker(interruptInterval)
	defer again.Stop()
	for {
		r.uploads.mu.Lock()
		if u.interrupt != nil {
			u.interrupt()
		}
		r.uploads.mu.Unlock()
		select {
		case u.turn <- struct{}{}:
			return nil
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: waiting for an earlier request on this upload: %w", store.ErrUnavailable, ctx.Err())
		}
	}
}

// EndExpired drops the uploads that nobody has finished in time, with their bytes, and
// returns how many there were. It runs in the background at intervals.
func (r *Registry) EndExpired(ctx context.Context) (ended int, err error) {
	if err := r.loadUploads(ctx); err != nil {
		return 0, err
	}
	r.forgetReplays()
	if r.IsBehind() != nil {
		return 0, nil // the metadata may not know what was published
	}
	if r.turns != nil {
		if err := r.refreshUploads(ctx); err != nil {
			return 0, err
		}
		if has, err := r.Has(ctx, "uploads", 3*expireInterval); err != nil || !has {
			return 0, err
		}
	}
	for id, u := range r.expiredUploads() {
		if problem := r.expire(ctx, id, u); problem != nil {
			err = errors.Join(err, problem)
			continue
		}
		ended++
	}
	return ended, err
}

// forgetReplays forgets what became of uploads that were published long ago.
func (r *Registry) forgetReplays() {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	for id, u := range r.uploads.known {
		if u.file != nil && !r.now().Before(u.expires) {
			delete(r.uploads.known, id)
			r.uploads.ended--
		}
	}
}

// expiredUploads returns what has expired, with its turn taken. What is in use waits.
func (r *Registry) expiredUploads() map[store.SessionID]*upload {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	expired := make(map[store.SessionID]*upload)
	for id, u := range r.uploads.known {
		if u.file != nil || r.now().Before(u.expires) {
			continue
		}
		select {
		case u.turn <- struct{}{}:
			expired[id] = u
		default:
		}
	}
	return expired
}

func (r *Registry) expire(ctx context.Context, id store.SessionID, u *upload) error {
	defer func() { <-u.turn }()
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	session, err := r.sessionOf(ctx, u, id)
	switch {
	case errors.Is(err, store.ErrOvertaken):
		return nil // it is in use
	case errors.Is(err, store.ErrSessionNotFound), errors.Is(err, store.ErrDamaged):
		session = store.Session{ID: id}
	case err != nil:
		return err
	case u.expires.IsZero(): // it can be read again
		return r.meetUpload(ctx, id)
	}
	r.log.Info("an upload expired", slog.String("owner", session.Ref.Owner), slog.String("package", session.Ref.Package),
		slog.String("version", session.Ref.Version), slog.String("file", session.Ref.File), slog.Int64("bytes", session.Offset))
	return r.dropUpload(ctx, session, u)
}

// giveUp has an upload expire now: if it cannot be dropped at once, it is dropped later.
func (r *Registry) giveUp(u *upload) {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	u.expires = r.now()
}

// dropUpload ends an upload that is not published, and deletes its bytes unless they
// have a name. Its turn is the caller's.
func (r *Registry) dropUpload(ctx context.Context, session store.Session, u *upload) error {
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.IsBehind(); err != nil {
		return err // the metadata may not know what was published
	}
	if err := r.dropBytes(ctx, session, u); err != nil {
		return err
	}
	return r.forgetUpload(ctx, session, u, nil)
}

// dropBytes deletes the bytes of an upload unless they have a name.
func (r *Registry) dropBytes(ctx context.Context, session store.Session, u *upload) error {
	if session.Locator == "" {
		return nil
	}
	if r.turns != nil {
		return r.condemnUpload(ctx, session, u)
	}
	unnamed, err := r.metadata.Unnamed(ctx, []store.Locator{session.Locator})
	if err != nil {
		return fmt.Errorf("asking for the bytes of an upload: %w", err)
	}
	if len(unnamed) > 0 {
		if err := r.blobs.Delete(ctx, session.Locator); err != nil {
			return fmt.Errorf("deleting the bytes of an upload: %w", err)
		}
	}
	return nil
}

// forgetUpload ends a session and leaves its bytes to whoever has them.
func (r *Registry) forgetUpload(ctx context.Context, session store.Session, u *upload, file *store.File) error {
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	if err := r.blobs.EndSession(ctx, session.ID); err != nil {
		return fmt.Errorf("ending an upload: %w", err)
	}
	r.noteEnded(session.ID, u, file)
	return nil
}
