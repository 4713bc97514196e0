package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// begin begins a session of unknown length.
func (f *blobFixture) begin() store.Session {
	f.Helper()
	digest := digestOf("content")
	session, err := f.BeginSession(context.Background(), store.Session{
		ID: store.NewSessionID(), Ref: ref("o", "p", "1", "f"), Creator: "alice",
		Created: epoch, Expires: epoch.Add(time.Hour), Length: -1, SHA256: &digest,
	})
	f.noError(err)
	return session
}

// proceed continues a session with some bytes, and saves them.
func (f *blobFixture) proceed(session store.Session, content []byte) store.Session {
	f.Helper()
	w := f.resume(session)
	f.fillSession(w, content)
	session.Offset += int64(len(content))
	session.Hash, session.Again = []byte{1, 2, byte(session.Offset)}, true
	f.noError(w.Save(context.Background(), session))
	f.noError(w.Close())
	return session
}

// finish makes a blob of a session, twice: it does no harm when nobody heard of the first time.
func (f *blobFixture) finish(session store.Session) store.Session {
	f.Helper()
	for range 2 {
		w := f.resume(session)
		f.noError(w.Commit(context.Background()))
		f.noError(w.Close())
	}
	return session
}

func (f *blobFixture) resume(session store.Session) store.SessionWriter {
	f.Helper()
	w, err := f.ContinueSession(context.Background(), session)
	f.noError(err)
	return w
}

func (f *blobFixture) fillSession(w store.SessionWriter, content []byte) {
	f.Helper()
	for piece := range slices.Chunk(content, 100_000) {
		n, err := w.Write(piece)
		f.noError(err)
		if n != len(piece) {
			f.Fatalf("wrote %d of %d", n, len(piece))
		}
	}
}

func (f *blobFixture) wantSession(want store.Session) {
	f.Helper()
	got, err := f.FindSession(context.Background(), want.ID)
	f.noError(err)
	all, err := f.Sessions(context.Background())
	f.noError(err)
	if len(all) != 1 {
		f.Fatalf("%d sessions, want 1", len(all))
	}
	for _, session := range []store.Session{got, all[0]} {
		same := session.ID == want.ID && session.Ref == want.Ref && session.Creator == want.Creator && session.Length == want.Length &&
			session.Created.Equal(want.Created) && session.Expires.Equal(want.Expires) && *session.SHA256 == *want.SHA256 &&
			session.Locator == want.Locator && session.Offset == want.Offset && session.Again == want.Again && string(session.Hash) == string(want.Hash)
		if !same {
			f.Fatalf("the session is %+v, want %+v", session, want)
		}
	}
}

func sessionGoesOn(f *blobFixture) {
	content := pattern(900_001)
	session := f.begin()
	f.wantSession(session)
	f.reopen()
	f.wantSession(session)
	for _, end := range []int{0, 1, 300_000, 300_000, 900_001} {
		session = f.proceed(session, content[session.Offset:end])
		f.wantSession(session)
		f.reopen()
		f.wantSession(session)
	}
	f.finish(session)
	f.reopen()
	w := f.resume(f.finish(session))
	f.noError(w.Close())
	f.noError(w.Close())
	f.wantSession(session) // until it ends
	f.wantContent(session.Locator, content)
	f.noError(f.EndSession(context.Background(), session.ID))
	f.reopen()
	f.wantContent(session.Locator, content)
	if got := f.walked()[session.Locator]; got != int64(len(content)) {
		f.Errorf("walked with %d bytes", got)
	}
}

func sessionIsCut(f *blobFixture) {
	session := f.proceed(f.begin(), []byte("saved"))
	for _, close := range []bool{true, false} {
		w := f.resume(session)
		f.fillSession(w, pattern(300_000))
		if close {
			f.noError(w.Close())
		} else {
			f.reopen() // as after a crash
			if _, err := w.Write([]byte("more")); err == nil {
				f.Error("a writer of a closed store writes")
			}
			_ = w.Close() // its store is closed; what it says does not matter
		}
		f.wantSession(session)
	}
	session = f.finish(f.proceed(session, []byte(" and more")))
	f.wantContent(session.Locator, []byte("saved and more"))
}

func sessionEnds(f *blobFixture) {
	ctx := context.Background()
	session := f.finish(f.proceed(f.begin(), []byte("content")))
	for range 2 {
		f.noError(f.EndSession(ctx, session.ID))
		_, err := f.FindSession(ctx, session.ID)
		f.wantError(err, store.ErrSessionNotFound)
		if all, err := f.Sessions(ctx); err != nil || len(all) != 0 {
			f.Errorf("%d sessions are left, %v", len(all), err)
		}
		f.reopen()
	}
	f.wantContent(session.Locator, []byte("content"))
	f.noError(f.Delete(ctx, session.Locator))
	f.wantNothing(session.Locator)
}

func sessionIsMissing(f *blobFixture) {
	ctx := context.Background()
	f.begin()
	for _, id := range []store.SessionID{store.NewSessionID(), "", "x", "../METADATA", "/etc/passwd", store.SessionID(store.NewLocator(1)), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		_, err := f.FindSession(ctx, id)
		f.wantError(err, store.ErrSessionNotFound)
		f.noError(f.EndSession(ctx, id))
		if id.IsValid() {
			continue
		}
		if _, err := f.BeginSession(ctx, store.Session{ID: id, Length: -1}); err == nil {
			f.Errorf("%q can be begun", id)
		}
	}
	if all, err := f.Sessions(ctx); err != nil || len(all) != 1 {
		f.Errorf("%d sessions, %v", len(all), err)
	}
}

func sessionLosesBytes(f *blobFixture) {
	session := f.finish(f.proceed(f.begin(), []byte("content")))
	f.noError(f.Delete(context.Background(), session.Locator))
	_, err := f.ContinueSession(context.Background(), session)
	f.wantError(err, store.ErrDamaged)
}

func sessionsApart(f *blobFixture) {
	const clients = 8
	sessions := make([]store.Session, clients)
	inParallel(clients, func(i int) {
		sessions[i] = f.begin()
		for j := range 5 {
			sessions[i] = f.proceed(sessions[i], []byte(numbered(10*i+j)))
		}
	})
	for i, session := range sessions {
		f.finish(session)
		var want string
		for j := range 5 {
			want += numbered(10*i + j)
		}
		f.wantContent(session.Locator, []byte(want))
	}
}

func closedSessions(f *blobFixture) {
	ctx := context.Background()
	session := f.begin()
	w := f.resume(session)
	f.noError(f.Close())
	_, beginErr := f.BeginSession(ctx, session)
	_, findErr := f.FindSession(ctx, session.ID)
	_, continueErr := f.ContinueSession(ctx, session)
	_, allErr := f.Sessions(ctx)
	_, writeErr := w.Write([]byte("x"))
	for _, err := range []error{beginErr, findErr, continueErr, allErr, writeErr, f.EndSession(ctx, session.ID), w.Save(ctx, session), w.Commit(ctx)} {
		f.wantError(err, store.ErrUnavailable)
	}
	_ = w.Close() // its store is closed; what it says does not matter
	f.mustOpen()
	f.wantSession(session)
}
