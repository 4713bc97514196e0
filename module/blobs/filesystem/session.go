package filesystem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// prepareSessions removes what was never written whole among the sessions, and makes the
// names of the others durable: one that was given just before a kill may not be yet.
func (s *Store) prepareSessions() error {
	folder := filepath.Join(s.path, sessionDirectory)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	for _, entry := range entries {
		if id, temporary := disk.IsTemporary(entry.Name()); !temporary || !store.SessionID(id).IsValid() {
			continue
		}
		if err := s.fsys.Remove(filepath.Join(folder, entry.Name())); err != nil {
			return fmt.Errorf("removing half a session: %w", directory.Full(err))
		}
	}
	return directory.Full(s.fsys.SyncDirectory(folder))
}

// BeginSession implements store.BlobStore. The bytes lie in their place from the
// beginning, so that the end of the upload moves nothing.
func (s *Store) BeginSession(ctx context.Context, session store.Session) (store.Session, error) {
	if err := cmp.Or(s.usable(ctx), s.claim.Check()); err != nil {
		return session, err
	}
	if !session.ID.IsValid() {
		return session, fmt.Errorf("malformed session %q", string(session.ID))
	}
	if err := s.space.check(max(session.Length, 0)); err != nil {
		return session, err
	}
	session.Locator = store.NewLocator(s.sequence.Add(1))
	place, err := s.place(session.Locator)
	if err != nil {
		return session, err
	}
	if err := s.entries.MakeDirectory(filepath.Join(s.path, sessionDirectory)); err != nil {
		return session, err
	}
	if err := s.createEmpty(place); err != nil {
		return session, err
	}
	if err := s.saveSession(session, disk.WriteNewFile); err != nil {
		// Nobody knows its ID, nor names its bytes. If those cannot be removed either, the
		// sweep removes them.
		s.doubtful.Delete(session.ID)
		return session, errors.Join(err, s.fsys.Remove(place))
	}
	return session, nil
}

// createEmpty makes an empty file, of which the name is durable.
func (s *Store) createEmpty(place string) error {
	folder := filepath.Dir(place)
	if err := s.entries.MakeDirectory(folder); err != nil {
		return err
	}
	var made bool
	err := s.entries.Give(func() error {
		file, err := s.fsys.Create(place)
		if err != nil {
			return fmt.Errorf("creating file: %w", directory.NotWritten(err))
		}
		made = true
		return directory.NotWritten(file.Close())
	}, folder)
	if err != nil && made {
		err = errors.Join(err, s.fsys.Remove(place))
	}
	return err
}

func (s *Store) sessionFile(id store.SessionID) string {
	return filepath.Join(s.path, sessionDirectory, string(id))
}

func (s *Store) saveSession(session store.Session, write func(fsys disk.FS, name, text string) error) error {
	text, err := json.Marshal(session)
	if err != nil {
		return fmt.Errorf("telling the session: %w", err)
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	s.doubtful.Store(session.ID, true)
	if err := write(s.fsys, s.sessionFile(session.ID), string(text)+"\n"); err != nil {
		return fmt.Errorf("saving the session: %w", directory.NotWritten(err))
	}
	s.doubtful.Delete(session.ID)
	return nil
}

// FindSession implements store.BlobStore.
func (s *Store) FindSession(ctx context.Context, id store.SessionID) (store.Session, error) {
	if err := s.usable(ctx); err != nil {
		return store.Session{}, err
	}
	session, err := s.readSession(id)
	if err != nil {
		return session, err
	}
	if _, doubtful := s.doubtful.Load(id); doubtful {
		// It failed to be saved. What is read may not be durable.
		return session, s.saveSession(session, disk.WriteFile)
	}
	return session, nil
}

func (s *Store) readSession(id store.SessionID) (session store.Session, err error) {
	if !id.IsValid() {
		return session, fmt.Errorf("%w: malformed ID", store.ErrSessionNotFound)
	}
	text, err := os.ReadFile(s.sessionFile(id))
	if err = s.judge(err); errors.Is(err, fs.ErrNotExist) {
		return session, store.ErrSessionNotFound
	}
	if err != nil {
		return session, fmt.Errorf("reading session: %w", directory.Full(err))
	}
	if err := json.Unmarshal(text, &session); err != nil {
		return store.Session{ID: id}, fmt.Errorf("%w: session: %w", store.ErrDamaged, err)
	}
	if session.ID != id {
		return store.Session{ID: id}, fmt.Errorf("%w: the session is %s", store.ErrDamaged, session.ID)
	}
	return session, nil
}

// Sessions implements store.BlobStore.
func (s *Store) Sessions(ctx context.Context) (sessions []store.Session, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(s.path, sessionDirectory))
	if err = s.judge(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading sessions: %w", directory.Full(err))
	}
	for _, entry := range entries {
		id := store.SessionID(entry.Name())
		if !id.IsValid() {
			continue
		}
		session, err := s.readSession(id)
		if errors.Is(err, store.ErrSessionNotFound) {
			continue // ended meanwhile
		}
		if errors.Is(err, store.ErrUnavailable) {
			return nil, err
		}
		if err != nil {
			session = store.Session{ID: id} // one bad sector keeps no others
		}
		sessions = append(sessions, session)
	}
	return sessions, nil
}

// EndSession implements store.BlobStore.
func (s *Store) EndSession(ctx context.Context, id store.SessionID) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if !id.IsValid() {
		return nil
	}
	if err := s.judge(s.fsys.Remove(s.sessionFile(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing session: %w", directory.Full(err))
	}
	s.doubtful.Delete(id)
	return nil
}
