package s3

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestNothingIsWrittenIntoAnotherBucket that is known to be another one, whatever its server takes.
// Seen to fail with a store that begins blobs and uploads wherever the server answers.
func TestNothingIsWrittenIntoAnotherBucket(t *testing.T) {
	s := storeAt(t, serverOfAnotherBucket(t), 5*time.Second)
	wantAnotherBucket(t, s)
	for what, err := range map[string]error{
		"a blob": write(t.Context(), s, []byte("four"), 4),
		"an upload": func() error {
			_, err := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1})
			return err
		}(),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("writing %s: error is %v, want %v", what, err, store.ErrUnavailable)
		}
	}
}

// TestNothingIsAcknowledgedInAnotherBucket that took the place of the right one after a blob or an
// upload had begun. Seen to fail, each for itself, with writers that only the beginning asks.
func TestNothingIsAcknowledgedInAnotherBucket(t *testing.T) {
	s := storeAt(t, serverOfAnotherBucket(t), 5*time.Second)
	w, err := s.Create(t.Context(), 4)
	if err == nil {
		_, err = w.Write([]byte("four"))
	}
	if err != nil {
		t.Fatal(err)
	}
	session, err := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.place(session.Locator)
	if err != nil {
		t.Fatal(err)
	}
	saves := &sessionWriter{store: s, key: key, gathering: s.bucket.Gather(key, bucket.Sent{}), upload: upload{Session: session}}
	commits := &sessionWriter{store: s, key: key, gathering: s.bucket.Gather(key, bucket.Sent{}), upload: upload{Session: session}}
	wantAnotherBucket(t, s)
	_, committing := w.Commit(t.Context())
	for what, err := range map[string]error{
		"committing a blob": committing, "saving an upload": saves.Save(t.Context(), session), "committing an upload": commits.Commit(t.Context()),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: error is %v, want %v", what, err, store.ErrUnavailable)
		}
	}
	for _, w := range []*sessionWriter{saves, commits} {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// serverOfAnotherBucket takes what is written, and has nothing. It returns its endpoint.
func serverOfAnotherBucket(t *testing.T) string {
	t.Helper()
	missing := answering{status: http.StatusNotFound, body: coded("NoSuchKey"), list: emptyList}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("ETag", `"tag"`)
			return
		}
		missing.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// wantAnotherBucket has the store find out that its bucket is another one.
func wantAnotherBucket(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.Stat(t.Context(), store.NewLocator(1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("asking for a blob: error is %v, want %v", err, store.ErrUnavailable)
	}
	if fault := s.Condition().Fault; !errors.Is(fault, store.ErrUnavailable) {
		t.Errorf("the condition says %v, want %v", fault, store.ErrUnavailable)
	}
}
