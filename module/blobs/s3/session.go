package s3

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sessionObject is the name of a session in its folder, with the number of its turn.
const sessionObject = "session-"

// turnOf returns the turn of a session by the name of its object. Others are those of last
// bytes.
func turnOf(key string) (turn int64, isSession bool) {
	number, isSession := strings.CutPrefix(path.Base(key), sessionObject)
	turn, err := strconv.ParseInt(number, 10, 64)
	return turn, isSession && err == nil
}

// upload is a session as the bucket has it.
type upload struct {
	store.Session
	bucket.Sent
	// Tail is the object that has the bytes after the parts. Empty when there are none.
	Tail string `json:"tail,omitempty"`
}

func (s *Store) folder(id store.SessionID) string { return s.under(uploadsFolder+string(id)) + "/" }

func (s *Store) sessionKey(id store.SessionID, turn int64) string {
	return s.folder(id) + sessionObject + strconv.FormatInt(turn, 10)
}

func (s *Store) tailKey(id store.SessionID, name string) string { return s.folder(id) + name }

// tailSize is how many bytes come after the parts.
func (u *upload) tailSize() int64 { return u.Offset - u.Size() }

// checkLength says store.ErrTooLarge of an upload that can have too many parts. One of unknown
// length may find that out later.
func (s *Store) checkLength(session store.Session, sent bucket.Sent) error {
	if most := s.bucket.MostGathered(sent); session.Length > session.Offset && session.Length > most {
		return fmt.Errorf("%w: an upload in several requests has up to %d bytes with this part_size", store.ErrTooLarge, most)
	}
	return nil
}

// BeginSession implements store.Sessions. store.ErrTooLarge, as ContinueSession.
func (s *Store) BeginSession(ctx context.Context, session store.Session) (store.Session, error) {
	if !session.ID.IsValid() {
		return session, fmt.Errorf("malformed session %q", string(session.ID))
	}
	if err := cmp.Or(s.checkLength(session, bucket.Sent{}), s.bucket.Writable(ctx)); err != nil {
		return session, err
	}
	session.Locator = store.NewLocator(s.sequence.Add(1))
	return session, s.saveUpload(ctx, &upload{Session: session})
}

func (s *Store) saveUpload(ctx context.Context, u *upload) error {
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("telling the session: %w", err)
	}
	return s.bucket.Put(ctx, s.sessionKey(u.ID, u.Turn), text)
}

// FindSession implements store.Sessions.
func (s *Store) FindSession(ctx context.Context, id store.SessionID) (store.Session, error) {
	u, err := s.findUpload(ctx, id)
	return u.Session, err
}

// findUpload finds what was saved in the latest turn.
func (s *Store) findUpload(ctx context.Context, id store.SessionID) (u upload, err error) {
	_, latest, err := s.objects(ctx, id)
	if err != nil {
		return u, err
	}
	return s.readUpload(ctx, id, latest)
}

// objects lists the objects of an upload, and the latest turn that a session of it is of.
func (s *Store) objects(ctx context.Context, id store.SessionID) (keys []string, latest int64, err error) {
	if !id.IsValid() {
		return nil, 0, fmt.Errorf("%w: malformed ID", store.ErrSessionNotFound)
	}
	for object, err := range s.bucket.List(ctx, s.folder(id), 0) {
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, object.Key)
		if turn, isSession := turnOf(object.Key); isSession {
			latest = max(latest, turn)
		}
	}
	return keys, latest, nil
}

func (s *Store) readUpload(ctx context.Context, id store.SessionID, turn int64) (u upload, err error) {
	text, err := s.bucket.Read(ctx, s.sessionKey(id, turn))
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

// readAtOnce is how many sessions are read at once.
const readAtOnce = 16

// uploads reads all sessions, each as it was saved in the latest turn that the list has.
func (s *Store) uploads(ctx context.Context) ([]upload, error) {
	latest, err := s.latestTurns(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	uploads := make([]upload, 0, len(latest))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(readAtOnce)
	for id, turn := range latest {
		reading.Go(func() error {
			u, err := s.readUpload(ctx, id, turn)
			if errors.Is(err, store.ErrSessionNotFound) {
				return nil // ended meanwhile
			}
			if err != nil && !errors.Is(err, store.ErrDamaged) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			uploads = append(uploads, u)
			return nil
		})
	}
	return uploads, reading.Wait()
}

// latestTurns lists the sessions.
func (s *Store) latestTurns(ctx context.Context) (map[store.SessionID]int64, error) {
	latest := make(map[store.SessionID]int64)
	folder := s.under(uploadsFolder)
	for object, err := range s.bucket.List(ctx, folder, 0) {
		if err != nil {
			return nil, err
		}
		id := store.SessionID(path.Dir(strings.TrimPrefix(object.Key, folder)))
		if turn, isSession := turnOf(object.Key); isSession && id.IsValid() {
			latest[id] = max(latest[id], turn)
		}
	}
	return latest, nil
}

// EndSession implements store.Sessions. The session goes last, that of the latest turn after the
// others: until then the call can be made again.
func (s *Store) EndSession(ctx context.Context, id store.SessionID) error {
	var u upload
	keys, latest, err := s.objects(ctx, id)
	if err == nil {
		u, err = s.readUpload(ctx, id, latest)
	}
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
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(order(a), order(b)) })
	for _, key := range keys {
		if err := s.bucket.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// order is that in which the objects of an upload go.
func order(key string) int64 {
	if turn, isSession := turnOf(key); isSession {
		return turn
	}
	return -1
}

// takes is how often a session is read again while somebody else saves it.
const takes = 3

// TakeSession implements remote.Taker. The last bytes are copied: whoever was at it before
// deletes his own with the next ones.
func (s *Store) TakeSession(ctx context.Context, id store.SessionID, turn int64) (store.Session, error) {
	for attempt := 1; ; attempt++ {
		u, err := s.findUpload(ctx, id)
		if err != nil {
			return u.Session, err
		}
		if u.Turn >= turn {
			return u.Session, store.ErrOvertaken
		}
		u.Turn = turn
		u.Spare()
		if u.Tail == "" {
			return u.Session, s.saveUpload(ctx, &u)
		}
		switch tail, err := s.bucket.Read(ctx, s.tailKey(id, u.Tail)); {
		case err == nil:
			u.Tail = string(store.NewSessionID())
			if err := s.bucket.Put(ctx, s.tailKey(id, u.Tail), tail); err != nil {
				return u.Session, err
			}
		case !errors.Is(err, store.ErrBlobNotFound):
			return u.Session, err
		case attempt < takes:
			continue
		} // else it is a blob, or damaged, as ContinueSession finds out
		return u.Session, s.saveUpload(ctx, &u)
	}
}
