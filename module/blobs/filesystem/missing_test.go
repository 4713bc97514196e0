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
// with another directory in its place, and for uploads.
// Seen to fail with a file that is missing wherever it is looked for, with a session that is
// not found, not listed or taken for ended, or whose bytes are taken for damaged, with one that
// begins, with an open pack whose blobs are taken for deleted, and with one that is written.
func TestADirectoryThatIsGoneSaysNothingOfBlobs(t *testing.T) {
	for name, instead := range map[string]func(path string) error{
		"nothing in its place":            func(string) error { return nil },
		"an empty directory in its place": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) { withoutDirectory(t, instead, false) })
		t.Run(name+", after a download", func(t *testing.T) { withoutDirectory(t, instead, true) })
	}
}

// withoutDirectory has the directory of a store be replaced, while the pack of a blob is open to
// be read or not.
func withoutDirectory(t *testing.T, instead func(path string) error, isOpen bool) {
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
		if !isOpen {
			continue
		}
		if _, err := s.Stat(t.Context(), locator); err != nil {
			t.Fatal(err)
		}
	}
	session, err := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(root, root+"-elsewhere"), instead(root)); err != nil {
		t.Fatal(err)
	}
	want := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBlobNotFound) || errors.Is(err, store.ErrSessionNotFound) || errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: got %v, want %v", what, err, store.ErrUnavailable)
		}
	}
	for locator, size := range blobs {
		if _, err := s.Open(t.Context(), locator, int64(size)); size > smallBlob || !isOpen {
			want("opening", err) // a pack that is open is read wherever it is by now
		}
		want("deleting", s.Delete(t.Context(), locator))
		_, err = putBlob(s, make([]byte, size))
		want("writing", err)
	}
	_, finding := s.FindSession(t.Context(), session.ID)
	want("finding a session", finding)
	_, continuing := s.ContinueSession(t.Context(), session)
	want("continuing a session", continuing)
	_, listing := s.Sessions(t.Context())
	want("listing sessions", listing)
	want("ending a session", s.EndSession(t.Context(), session.ID))
	_, beginning := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1})
	want("beginning a session", beginning)
	want("the condition", s.Condition().Fault)
	if written, _ := os.ReadDir(root); len(written) > 0 {
		t.Errorf("in place of the directory there is %v, want nothing", written)
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
