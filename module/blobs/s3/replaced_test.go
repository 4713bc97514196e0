package s3

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestNothingIsWrittenIntoAnotherBucket that is known to be another one, whatever its server takes.
// Seen to fail with a store that begins blobs and uploads wherever the server answers.
func TestNothingIsWrittenIntoAnotherBucket(t *testing.T) {
	missing := answering{status: http.StatusNotFound, body: coded("NoSuchKey"), list: emptyList}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("ETag", `"tag"`)
			return
		}
		missing.ServeHTTP(w, r)
	}))
	defer server.Close()
	s := storeAt(t, server.URL, 5*time.Second)
	if _, err := s.Stat(t.Context(), store.NewLocator(1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("asking for a blob: error is %v, want %v", err, store.ErrUnavailable)
	}
	if fault := s.Condition().Fault; !errors.Is(fault, store.ErrUnavailable) {
		t.Errorf("the condition says %v, want %v", fault, store.ErrUnavailable)
	}
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
