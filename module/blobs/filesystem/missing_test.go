package filesystem

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestADirectoryThatIsGoneSaysNothingOfBlobs, as when its file system is not mounted any more:
// no blob is missing, nothing is deleted, and nothing is written elsewhere. It is the same
// with another directory in its place.
// Seen to fail with a file that is missing wherever it is looked for.
func TestADirectoryThatIsGoneSaysNothingOfBlobs(t *testing.T) {
	for name, instead := range map[string]func(path string) error{
		"nothing in its place":            func(string) error { return nil },
		"an empty directory in its place": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "blobs")
			s, err := openWith(root, 1, disk.OS{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			blobs := map[store.Locator]int{}
			for _, size := range []int{100, smallBlob + 1} {
				locator, err := putBlob(s, make([]byte, size))
				if err != nil {
					t.Fatal(err)
				}
				blobs[locator] = size
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = openWith(root, 1, disk.OS{}); err != nil { // no pack is open
				t.Fatal(err)
			}
			defer s.Close()
			if err := errors.Join(os.Rename(root, root+"-elsewhere"), instead(root)); err != nil {
				t.Fatal(err)
			}
			want := func(what string, size int, err error) {
				t.Helper()
				if size <= smallBlob && err == nil {
					return // its pack is open, wherever it is by now
				}
				if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBlobNotFound) {
					t.Errorf("%s: got %v, want %v", what, err, store.ErrUnavailable)
				}
			}
			for locator, size := range blobs {
				_, err := s.Open(t.Context(), locator, int64(size))
				want("opening", size, err)
				want("deleting", size, s.Delete(t.Context(), locator))
				_, err = putBlob(s, make([]byte, size))
				want("writing", size, err)
			}
			want("the condition", smallBlob+1, s.Condition().Fault)
		})
	}
}

// TestASessionThatCannotBeRead keeps no other from being read.
// Seen to fail with a list that ends at the first one.
func TestASessionThatCannotBeRead(t *testing.T) {
	root := t.TempDir()
	s, err := openWith(root, 1, disk.OS{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good, bad := store.Session{ID: store.NewSessionID(), Length: -1}, store.NewSessionID()
	if good, err = s.BeginSession(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.sessionFile(bad), 0o700); err != nil {
		t.Fatal(err)
	}
	sessions, err := s.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[store.SessionID]store.Locator{}
	for _, session := range sessions {
		got[session.ID] = session.Locator
	}
	if locator, ok := got[bad]; len(got) != 2 || got[good.ID] != good.Locator || !ok || locator != "" {
		t.Errorf("got %v, want %s with its locator and %s without", got, good.ID, bad)
	}
}
