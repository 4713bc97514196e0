package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sessionObject is the name of a session in its folder.
const sessionObject = "session"

// upload is a session as the bucket has it.
type upload struct {
	store.Session
	bucket.Sent
	// Tail is the object that has the bytes after the parts. Empty when there are none.
	Tail string `json:"tail,omitempty"`
}

func (s *Store) sessionKey(id store.SessionID) string {
	return s.under(uploadsFolder+string(id), sessionObject)
}

// tailSize is how many bytes come after the parts.
func (u *upload) tailSize() int64 { return u.Offset - u.Size() }

// BeginSession implements store.Sessions.
func (s *Store) BeginSession(ctx context.Context, session store.Session) (store.Session, error) {
	if !session.ID.IsValid() {
		return session, fmt.Errorf("malformed session %q", string(session.ID))
	}
	session.Locator = store.NewLocator(s.sequence.Add(1))
	return session, s.saveUpload(ctx, &upload{Session: session})
}

func (s *Store) saveUpload(ctx context.Context, u *upload) error {
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("telling the session: %w", err)
	}
	return s.bucket.Put(ctx, s.sessionKey(u.ID), text)
}

// FindSession implements store.Sessions.
func (s *Store) FindSession(ctx context.Context, id store.SessionID) (store.Session, error) {
	u, err := s.findUpload(ctx, id)
	return u.Session, err
}

func (s *Store) findUpload(ctx context.Context, id store.SessionID) (u upload, err error) {
	if !id.IsValid() {
		return u, fmt.Errorf("%w: malformed ID", store.ErrSessionNotFound)
	}
	text, err := s.bucket.Read(ctx, s.sessionKey(id))
	if errors.Is(err, store.ErrBlobNotFound) {
		return u, store.ErrSessionNotFound
	}
	if err != nil {
		return u, err
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return upload{Session: store.Session{ID: id}}, fmt.Errorf("%w: session: %w", store.ErrDamaged, err)
	}
	if u.ID != id || u.tailSize() < 0 || (u.tailSize() > 0) != (u.Tail != "") {
		return upload{Session: store.Session{ID: id}}, fmt.Errorf("%w: session %s contradicts itself", store.ErrDamaged, id)
	}
	return u, nil
}

// Sessions implements store.Sessions.
func (s *Store) Sessions(ctx context.Context) (sessions []store.Session, err error) {
	uploads, err := s.uploads(ctx)
	for _, u := range uploads {
		sessions = append(sessions, u.Session)
	}
	return sessions, err
}

func (s *Store) uploads(ctx context.Context) (uploads []upload, err error) {
	var ids []store.SessionID
	folder := s.under(uploadsFolder)
	for object, err := range s.bucket.List(ctx, folder, 0) {
		if err != nil {
			return nil, err
		}
		id := store.SessionID(strings.TrimSuffix(strings.TrimPrefix(object.Key, folder), "/"+sessionObject))
		if path.Base(object.Key) == sessionObject && id.IsValid() {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		u, err := s.findUpload(ctx, id)
		if errors.Is(err, store.ErrSessionNotFound) {
			continue // ended meanwhile
		}
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return nil, err
		}
		uploads = append(uploads, u)
	}
	return uploads, nil
}

// EndSession implements store.Sessions. The session goes last: until then the call can be
// made again.
func (s *Store) EndSession(ctx context.Context, id store.SessionID) error {
	u, err := s.findUpload(ctx, id)
	switch {
	case errors.Is(err, store.ErrSessionNotFound):
		return nil
	case err != nil && !errors.Is(err, store.ErrDamaged):
		return err
	}
	if u.Upload != "" {
		key, err := s.place(u.Locator)
		if err != nil {
			return err
		}
		if err := s.bucket.Drop(ctx, bucket.Multipart{Key: key, Upload: u.Upload}); err != nil {
			return err
		}
	}
	var rest []string
	for object, err := range s.bucket.List(ctx, s.under(uploadsFolder+string(id))+"/", 0) {
		if err != nil {
			return err
		}
		if path.Base(object.Key) != sessionObject {
			rest = append(rest, object.Key)
		}
	}
	for _, key := range rest {
		if err := s.bucket.Remove(ctx, key); err != nil {
			return err
		}
	}
	return s.bucket.Remove(ctx, s.sessionKey(id))
}
