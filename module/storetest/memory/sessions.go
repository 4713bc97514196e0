package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func (s *blobStore) BeginSession(ctx context.Context, session store.Session) (store.Session, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return session, err
	}
	defer leave()
	if !session.ID.IsValid() {
		return session, fmt.Errorf("malformed session %q", string(session.ID))
	}
	session.Locator = store.NewLocator(s.sequence.Add(1))
	s.place.blobs[session.Locator] = committed{modified: time.Now()}
	s.place.sessions[session.ID] = session
	return session, nil
}

func (s *blobStore) FindSession(ctx context.Context, id store.SessionID) (store.Session, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return store.Session{}, err
	}
	defer leave()
	session, found := s.place.sessions[id]
	if !found {
		return session, store.ErrSessionNotFound
	}
	return session, nil
}

func (s *blobStore) ContinueSession(ctx context.Context, session store.Session) (store.SessionWriter, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	content := s.place.blobs[session.Locator].content
	if _, found := s.place.blobs[session.Locator]; !found || int64(len(content)) < session.Offset {
		return nil, fmt.Errorf("%w: the upload has %d bytes", store.ErrDamaged, len(content))
	}
	return &sessionWriter{store: s, locator: session.Locator, content: slices.Clone(content[:session.Offset])}, nil
}

func (s *blobStore) Sessions(ctx context.Context) ([]store.Session, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return slices.Collect(maps.Values(s.place.sessions)), nil
}

func (s *blobStore) EndSession(ctx context.Context, id store.SessionID) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	delete(s.place.sessions, id)
	return nil
}

// sessionWriter keeps what is written to itself until it is saved.
type sessionWriter struct {
	store   *blobStore
	locator store.Locator
	content []byte
	closed  bool
}

func (w *sessionWriter) enter(ctx context.Context) (leave func(), err error) {
	if w.closed {
		return nil, errEnded
	}
	return w.store.enter(ctx)
}

func (w *sessionWriter) Write(p []byte) (int, error) {
	leave, err := w.enter(context.Background())
	if err != nil {
		return 0, err
	}
	defer leave()
	w.content = append(w.content, p...)
	return len(p), nil
}

func (w *sessionWriter) Save(ctx context.Context, session store.Session) error {
	leave, err := w.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if session.Offset != int64(len(w.content)) {
		return fmt.Errorf("saving an offset of %d, after %d bytes", session.Offset, len(w.content))
	}
	w.store.place.blobs[w.locator] = committed{content: slices.Clone(w.content), modified: time.Now()}
	w.store.place.sessions[session.ID] = session
	return nil
}

func (w *sessionWriter) Commit(ctx context.Context) error {
	leave, err := w.enter(ctx)
	if err == nil {
		leave()
	}
	return err
}

func (w *sessionWriter) Close() error {
	w.closed = true
	return nil
}
