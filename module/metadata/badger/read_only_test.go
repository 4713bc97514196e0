package badger

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAReadOnlyFileSystemIsRead: what is there can be looked up after a stop and after a
// crash, when some changes are in the journal alone. Nothing is written.
// Seen to fail without the changes that only the journal has, and with a copy that lacks them.
func TestAReadOnlyFileSystemIsRead(t *testing.T) {
	const files = 40
	for name, end := range map[string]func(t *testing.T, s *Store, root string) string{
		"after a stop":  func(t *testing.T, s *Store, root string) string { mustClose(t, s); return root },
		"after a crash": crash,
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			mustClose(t, publishedStore(t, root, files/2)) // in a table
			s := mustOpen(t, root)
			for i := files / 2; i < files; i++ {
				if err := publishNumbered(s, "o", i); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.DeleteFile(t.Context(), numberedRef("o", 7), testAct); err != nil {
				t.Fatal(err)
			}
			root = end(t, s, root)
			before := filesIn(t, root)
			s = openReadOnly(t, root)
			for i := range files {
				_, err := s.Lookup(t.Context(), numberedRef("o", i))
				if wanted := i != 7; (err == nil) != wanted || !wanted && !errors.Is(err, store.ErrPackageNotFound) {
					t.Errorf("file %d: %v", i, err)
				}
			}
			if err := s.Check(t.Context(), func(problem string) { t.Error(problem) }); err != nil {
				t.Error(err)
			}
			if err := publishNumbered(s, "o", files); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("publishing: %v", err)
			}
			if err := s.DeleteFile(t.Context(), numberedRef("o", 1), testAct); !errors.Is(err, errReadOnly) {
				t.Errorf("deleting: %v", err)
			}
			if condition := s.Condition(); !condition.Readable || !errors.Is(condition.Fault, errReadOnly) {
				t.Errorf("its condition is %+v", condition)
			}
			_, err := s.Export(t.Context(), io.Discard)
			if lacks := name == "after a crash"; lacks != errors.Is(err, errReadOnly) || !lacks && err != nil {
				t.Errorf("telling all that there is: %v", err)
			}
			links := s.opened.links
			mustClose(t, s)
			if after := filesIn(t, root); !maps.Equal(before, after) {
				t.Errorf("the files are not what they were")
			}
			if isThere(links) {
				t.Errorf("%s is left", links)
			}
			again := mustOpen(t, root)
			defer mustClose(t, again)
			if err := publishNumbered(again, "o", files); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAReadOnlyFileSystemIsNotRepaired: a database that is gone, and one with a damaged
// table, stay as they are.
func TestAReadOnlyFileSystemIsNotRepaired(t *testing.T) {
	for name, damage := range map[string]func(name string) error{
		"gone":    os.Remove,
		"damaged": func(name string) error { return os.WriteFile(name, []byte("nonsense"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			mustClose(t, publishedStore(t, root, 20))
			for _, pattern := range []string{"*.sst", "MANIFEST"} {
				names, err := filepath.Glob(filepath.Join(root, "metadata", pattern))
				if err != nil || len(names) == 0 {
					t.Fatal(names, err)
				}
				for _, name := range names {
					if err := damage(name); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := filesIn(t, root)
			s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, readOnly)
			if err == nil {
				mustClose(t, s)
			}
			if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrDamaged) {
				t.Errorf("opening: %v", err)
			}
			if after := filesIn(t, root); !maps.Equal(before, after) {
				t.Errorf("the files are not what they were")
			}
		})
	}
}

func readOnly(p *home) { p.readOnly = true }

func openReadOnly(t *testing.T, root string) *Store {
	t.Helper()
	s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// filesIn returns the files below a directory, each with its content.
func filesIn(t *testing.T, root string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
