package filesystem

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// foreign are files that an administrator may have put beside the blobs.
var foreign = []string{
	"mybackup/notes",
	"zzzzzzzz/README",
	"00000000/notes",
	"00000000/abcdefghijklmnopqrstuvwxyz.bak",
	"00000000bak/abcdefghijklmnopqrstuvwxyz",
	"notes",
	"packs/notes",
	"packs/0000001.bak",
	"packs/00000001",
	"packs/000000A",
}

// TestWhatIsNotOfTheStoreIsLeftAlone: no sweep hears of it, and opening keeps it.
func TestWhatIsNotOfTheStoreIsLeftAlone(t *testing.T) {
	root := t.TempDir()
	for _, name := range foreign {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "FORMAT"), fmt.Appendln(nil, layout, layoutVersion), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := openWith(root, 1, disk.OS{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Walk(t.Context(), func(locator store.Locator, _ int64, _ time.Time) error {
			t.Errorf("%s is walked", locator)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range foreign {
			if content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name))); err != nil || string(content) != "mine" {
				t.Errorf("%s has %q, %v", name, content, err)
			}
		}
	}
}

// TestARestartGoesOnInTheDirectoryThatWasBeingFilled, also beside directories that are
// not the store's and come after it.
func TestARestartGoesOnInTheDirectoryThatWasBeingFilled(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, 1, nil)
	for _, sequence := range []uint64{1, 35*10_000 + 1, 34 * 10_000} {
		if err := writeBlob(s, store.NewLocator(sequence), 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "zzzzzzzz"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "zzzzzzzz", "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, root, 1, nil)
	var directories []string
	for range 3 {
		w, err := s.Create(t.Context(), smallBlob+1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, smallBlob+1)); err != nil {
			t.Fatal(err)
		}
		locator, err := w.Commit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		directory, _, _ := locator.Split()
		directories = append(directories, directory)
	}
	if want := []string{"0000000z", "0000000z", "0000000z"}; !slices.Equal(directories, want) {
		t.Errorf("blobs go to %v, want %v", directories, want)
	}
}
