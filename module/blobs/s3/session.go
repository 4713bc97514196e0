package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sessionObject is the name of a session in its folder.
const sessionObject = "session"

// upload is a session as the bucket has it.
type upload struct {
	store.Session
	// Upload is the multipart upload of the blob. Empty before its first part.
	Upload string `json:"upload,omitempty"`
	Parts  []part `json:"parts,omitempty"`
	// Tail is the object that has the bytes after the parts. Empty when there are none.
	Tail string `json:"tail,omitempty"`
}

func (s *Store) sessionKey(id store.SessionID) string {
	return s.under(uploadsFolder, string(id), sessionObject)
}

// tailSize is how many bytes come after the parts.
func (u *upload) tailSize() int64 {
	size := u.Offset
	for _, p := range u.Parts {
		size -= p.Size
	}
	return size
}

// BeginSession implements store.Sessions.
func (s *Store) BeginSession(ctx context.Context, session store.Session) (store.Session, error) {
	if err := s.usable(ctx); err != nil {
		return session, err
	}
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
	return s.putBytes(ctx, s.sessionKey(u.ID), text, minio.PutObjectOptions{ContentType: "application/json"})
}

// FindSession implements store.Sessions.
func (s *Store) FindSession(ctx context.Context, id store.SessionID) (store.Session, error) {
	u, err := s.findUpload(ctx, id)
	return u.Session, err
}

func (s *Store) findUpload(ctx context.Context, id store.SessionID) (u upload, err error) {
	if err := s.usable(ctx); err != nil {
		return u, err
	}
	if !id.IsValid() {
		return u, fmt.Errorf("%w: malformed ID", store.ErrSessionNotFound)
	}
	text, err := s.fetch(ctx, s.sessionKey(id))
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

// fetch reads a small object. ErrBlobNotFound when there is none.
func (s *Store) fetch(ctx context.Context, key string) (content []byte, err error) {
	content, err = s.read(ctx, key)
	return content, s.missing(ctx, key, err)
}

// read is fetch that believes nothing of what is not there.
func (s *Store) read(ctx context.Context, key string) (content []byte, err error) {
	err = s.request(ctx, "reading an object", func(ctx context.Context, client *minio.Core) error {
		body, info, _, err := client.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		if content, err = io.ReadAll(body); err == nil && int64(len(content)) != info.Size {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	return content, err
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
	folder := s.under(uploadsFolder) + "/"
	err = s.list(ctx, folder, 0, func(object minio.ObjectInfo) error {
		id := store.SessionID(strings.TrimSuffix(strings.TrimPrefix(object.Key, folder), "/"+sessionObject))
		if path.Base(object.Key) == sessionObject && id.IsValid() {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return nil, err
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
		if err := (&multipart{store: s, key: key, id: u.Upload}).abort(ctx); err != nil {
			return err
		}
	}
	var rest []string
	err = s.list(ctx, s.under(uploadsFolder, string(id))+"/", 0, func(object minio.ObjectInfo) error {
		if path.Base(object.Key) != sessionObject {
			rest = append(rest, object.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range rest {
		if err := s.remove(ctx, key); err != nil {
			return err
		}
	}
	return s.remove(ctx, s.sessionKey(id))
}

// sessionWriter goes on with a session.
type sessionWriter struct {
	gathered
	store     *Store
	upload    upload
	size      int64 // with what is not saved
	committed bool  // it is a blob already
	failed    error
	closed    bool
}

// ContinueSession implements store.Sessions.
func (s *Store) ContinueSession(ctx context.Context, session store.Session) (store.SessionWriter, error) {
	u, err := s.findUpload(ctx, session.ID)
	if errors.Is(err, store.ErrSessionNotFound) || err == nil && (u.Offset != session.Offset || u.Locator != session.Locator) {
		return nil, fmt.Errorf("%w: the upload is another one than was found", store.ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	key, err := s.place(u.Locator)
	if err != nil {
		return nil, err
	}
	w := &sessionWriter{gathered: *newGathered(s, key), store: s, upload: u, size: u.Offset}
	w.id, w.parts = u.Upload, u.Parts
	if err := w.load(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// load gets what the writer goes on with: the parts and the tail, or else the blob that they
// have become.
func (w *sessionWriter) load(ctx context.Context) error {
	there, err := w.hasParts(ctx)
	if err != nil {
		return err
	}
	if there && w.upload.Tail != "" {
		tail, err := w.store.fetch(ctx, w.tailKey(w.upload.Tail))
		if err != nil && !errors.Is(err, store.ErrBlobNotFound) {
			return err
		}
		if there = err == nil && int64(len(tail)) == w.upload.tailSize(); there {
			return w.refill(tail)
		}
	}
	if there {
		return nil
	}
	size, err := w.store.stat(ctx, w.key)
	if errors.Is(err, store.ErrBlobNotFound) || err == nil && size != w.upload.Offset {
		return fmt.Errorf("%w: the upload has fewer than %d bytes", store.ErrDamaged, w.upload.Offset)
	}
	w.committed = err == nil
	return err
}

// hasParts tells whether the multipart upload goes on.
func (w *sessionWriter) hasParts(ctx context.Context) (bool, error) {
	if len(w.parts) == 0 {
		return true, nil
	}
	err := w.store.request(ctx, "asking for a multipart upload", func(ctx context.Context, client *minio.Core) error {
		_, err := client.ListObjectParts(ctx, w.store.bucket, w.key, w.id, 0, 1)
		return err
	})
	if errors.Is(err, errNoUpload) || errors.Is(err, errAbsent) {
		return false, nil
	}
	return err == nil, err
}

// refill puts the last bytes back into memory.
func (w *sessionWriter) refill(tail []byte) error {
	for len(tail) > 0 {
		n, err := w.buffer.fill(tail)
		if err != nil {
			return err
		}
		tail = tail[n:]
	}
	return nil
}

func (w *sessionWriter) tailKey(name string) string {
	return w.store.under(uploadsFolder, string(w.upload.ID), name)
}

func (w *sessionWriter) usable() error {
	if w.closed || w.store.closed.Load() {
		return errEnded
	}
	return w.failed
}

// Write implements io.Writer.
func (w *sessionWriter) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.committed && len(p) > 0 {
		return 0, store.ErrEnded
	}
	if w.failed = w.write(p); w.failed != nil {
		return 0, w.failed
	}
	w.size += int64(len(p))
	return len(p), nil
}

// Save implements store.SessionWriter.
func (w *sessionWriter) Save(ctx context.Context, session store.Session) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.failed = w.save(ctx, session)
	return w.failed
}

func (w *sessionWriter) save(ctx context.Context, session store.Session) error {
	if session.Offset != w.size {
		return fmt.Errorf("saving an offset of %d, after %d bytes", session.Offset, w.size)
	}
	if w.committed {
		return nil // nothing came
	}
	if len(w.buffer.bytes) >= smallestPart {
		if err := w.put(ctx, w.buffer.bytes); err != nil {
			return err
		}
		w.buffer.release()
	}
	saved := upload{Session: session, Upload: w.id, Parts: w.parts}
	if len(w.buffer.bytes) > 0 {
		saved.Tail = string(store.NewSessionID()) // no name is written twice
		if err := w.store.putBytes(ctx, w.tailKey(saved.Tail), w.buffer.bytes, minio.PutObjectOptions{}); err != nil {
			return err
		}
	}
	if err := w.store.saveUpload(ctx, &saved); err != nil {
		return err
	}
	former := w.upload.Tail
	w.upload = saved
	w.dropTail(ctx, former)
	return nil
}

// dropTail deletes last bytes that nothing names any more. If that fails they go with the
// session.
func (w *sessionWriter) dropTail(ctx context.Context, name string) {
	if name != "" {
		_ = w.store.remove(ctx, w.tailKey(name))
	}
}

// Commit implements store.SessionWriter.
func (w *sessionWriter) Commit(ctx context.Context) error {
	if err := w.usable(); err != nil || w.committed {
		return err
	}
	if w.size != w.upload.Offset {
		return fmt.Errorf("committing %d bytes, of which %d are saved", w.size, w.upload.Offset)
	}
	if err := w.finish(ctx); err != nil {
		w.failed = err
		return err
	}
	w.committed = true
	w.dropTail(ctx, w.upload.Tail)
	return nil
}

// Close implements store.SessionWriter.
func (w *sessionWriter) Close() error {
	w.closed = true
	w.buffer.release()
	return nil
}
