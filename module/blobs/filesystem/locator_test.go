package filesystem

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// FuzzLocatorsStayInside: whatever a damaged record says, the store follows it to
// a file in a directory of its own, or not at all.
func FuzzLocatorsStayInside(f *testing.F) {
	for _, seed := range []string{"00000000/abc", "tmp/abc", "../x", "x/..", "a/b/c", "/", "", "FORMAT", ".lock", "p0000001/abcdefghijklmnopqrstuvwxyz", "p/abc", `a\b/c`, "a/b\x00", "A/b", "/etc/passwd"} {
		f.Add(seed)
	}
	s, err := Open(f.TempDir(), 1, discard, disk.OS{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		locator := store.Locator(text)
		if format.Owns(locator) {
			if _, _, err := locator.Split(); err != nil && format.Check(locator) == nil {
				t.Fatalf("%q is a locator of a pack", text)
			}
			return
		}
		place, err := s.find(t.Context(), locator)
		if err == nil {
			checkInside(t, s, place, filepath.FromSlash(text))
		}
		followed := err == nil
		for _, size := range []int64{smallBlob, smallBlob + 1} {
			w, err := s.CreateAt(t.Context(), locator, size)
			if (err == nil) != followed {
				t.Fatalf("%q is found: %v, created: %v", text, followed, err)
			}
			if err != nil {
				continue
			}
			switch w := w.(type) {
			case *smallWriter:
				if w.locator != locator {
					t.Fatalf("%q is written at %q", text, w.locator)
				}
			case *writer:
				checkInside(t, s, w.place, filepath.FromSlash(text))
				checkInside(t, s, w.temporary, filepath.Join(temporaryDirectory, filepath.Base(place)))
			}
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// checkInside wants a path to be below the store, two names deep, as it is spelt.
func checkInside(t *testing.T, s *Store, path, want string) {
	t.Helper()
	inside, err := filepath.Rel(s.path, path)
	if err != nil || !filepath.IsLocal(inside) || inside != want || strings.Count(inside, string(filepath.Separator)) != 1 {
		t.Fatalf("%q is %q in the store (%v), want %q", path, inside, err, want)
	}
}

// TestUploadsCannotBeRead: tmp looks like a locator's directory.
func TestUploadsCannotBeRead(t *testing.T) {
	s := newStore(t, 1, nil)
	locator := store.NewLocator(1)
	w, err := s.CreateAt(t.Context(), locator, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, name, err := locator.Split()
	if err != nil {
		t.Fatal(err)
	}
	upload := store.Locator(temporaryDirectory + "/" + name)
	if content, err := s.Open(t.Context(), upload, 0); err == nil {
		t.Errorf("an upload is read: %v", content.Close())
	}
	if err := s.Delete(t.Context(), upload); err == nil {
		t.Error("an upload is deleted")
	}
	if err := commit(w); err != nil {
		t.Errorf("committing it: %v", err)
	}
}
