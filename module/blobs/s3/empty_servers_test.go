//go:build servers

package s3

import (
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// TestFoldersThatBecomeEmpty: blobs and uploads in several requests come and go, of which
// most are the only ones. Seen to fail with folders in others ("blobs/"), of which this server
// deletes the outer one before a PUT has made the inner one.
func TestFoldersThatBecomeEmpty(t *testing.T) {
	s := openAt(t, backendAt(t, servers.StartS3(t).Endpoint(), nil))
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for range 100 {
				if err := comeAndGo(t, s); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func comeAndGo(t *testing.T, s *Store) error {
	content := []byte("content")
	w, err := s.Create(t.Context(), int64(len(content)))
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	locator, err := w.Commit(t.Context())
	if err != nil {
		return err
	}
	if err := s.Delete(t.Context(), locator); err != nil {
		return err
	}
	session, err := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	return s.EndSession(t.Context(), session.ID)
}
