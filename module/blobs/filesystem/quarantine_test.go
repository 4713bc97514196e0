package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// wantQuarantined compares the sizes of what is in quarantine.
func wantQuarantined(t *testing.T, s *Store, want map[string]int64) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.path, quarantineDirectory))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if size, found := want[entry.Name()]; !found || size != info.Size() {
			t.Errorf("%s has %d bytes, want %d (%v)", entry.Name(), info.Size(), size, found)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d files are in quarantine, want %d", len(entries), len(want))
	}
}

// asideTime is when stores of these tests put something aside.
var asideTime = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func nameAside(locator store.Locator) string {
	return "20260301T120000Z-" + strings.ReplaceAll(string(locator), "/", "-")
}

func TestQuarantineKeepsWhatItHas(t *testing.T) {
	path := t.TempDir()
	s := openStore(t, path, 1, nil)
	locator, want := store.NewLocator(1), make(map[string]int64)
	for size, suffix := range []string{"", ".1", ".2"} {
		if err := errors.Join(writeBlob(s, locator, size), s.Quarantine(t.Context(), locator)); err != nil {
			t.Fatal(err)
		}
		want[nameAside(locator)+suffix] = int64(size)
		wantQuarantined(t, s, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantQuarantined(t, openStore(t, path, 1, nil), want)
}

// TestQuarantineIsNoPlaceOfBlobs: a damaged record cannot lead there, and neither
// the walk, and with it the sweep, nor a delete comes by.
func TestQuarantineIsNoPlaceOfBlobs(t *testing.T) {
	s := newStore(t, 1, nil)
	locator := store.NewLocator(1)
	if err := errors.Join(writeBlob(s, locator, 10), s.Quarantine(t.Context(), locator)); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(s.path, quarantineDirectory, "abc")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := store.Locator(quarantineDirectory + "/abc")
	if _, err := s.Stat(t.Context(), inside); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("asking for it: %v", err)
	}
	if content, err := s.Open(t.Context(), inside, 1); err == nil {
		t.Errorf("it is read: %v", content.Close())
	}
	if _, err := s.CreateAt(t.Context(), inside, 1); err == nil {
		t.Error("it is written")
	}
	if s.Delete(t.Context(), inside) == nil || s.Quarantine(t.Context(), inside) == nil {
		t.Error("it is deleted or moved")
	}
	err := s.Walk(t.Context(), func(found store.Locator, _ int64, _ time.Time) error {
		t.Errorf("%s is walked", found)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	wantQuarantined(t, s, map[string]int64{nameAside(locator): 10, "abc": 1})
}

func TestFaultsOfAQuarantine(t *testing.T) {
	syncFails := func(base string) func(o *steps) {
		return func(o *steps) {
			o.syncDirectory = func(name string) error {
				if filepath.Base(name) == base {
					return syscall.ENOSPC
				}
				return nil
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(o *steps)
		moved  bool
	}{
		{"making quarantine", func(o *steps) { o.makeDirectory = func(string) error { return syscall.ENOSPC } }, false},
		{"syncing the store's directory", syncFails("blobs"), false},
		{"renaming", func(o *steps) { o.rename = func(string, string) error { return syscall.ENOSPC } }, false},
		{"syncing quarantine", syncFails(quarantineDirectory), true},
		{"syncing the old place", syncFails("00000000"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newSteps()
			s, err := Open(filepath.Join(t.TempDir(), "blobs"), 1, discard, o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.now = func() time.Time { return asideTime }
			locator := store.NewLocator(1)
			if err := writeBlob(s, locator, 10); err != nil {
				t.Fatal(err)
			}
			test.change(o)
			if err := s.Quarantine(t.Context(), locator); !errors.Is(err, store.ErrNoSpace) {
				t.Errorf("error is %v", err)
			}
			if _, err := s.Stat(t.Context(), locator); errors.Is(err, store.ErrBlobNotFound) != test.moved {
				t.Errorf("in its place: %v", err)
			}
			if test.moved {
				wantQuarantined(t, s, map[string]int64{nameAside(locator): 10})
			}
		})
	}
}

// TestADeleteMayWinOverAQuarantine: then there is nothing to put aside.
func TestADeleteMayWinOverAQuarantine(t *testing.T) {
	s := newStore(t, 1, func(o *steps) {
		rename := o.rename
		o.rename = func(from, to string) error {
			if filepath.Base(filepath.Dir(to)) == quarantineDirectory {
				return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
			}
			return rename(from, to)
		}
	})
	locator := store.NewLocator(1)
	if err := errors.Join(writeBlob(s, locator, 10), s.Quarantine(t.Context(), locator)); err != nil {
		t.Error(err)
	}
}

// TestQuarantineIsBoundedByAgeAndNumber: the oldest go, and what an administrator put
// there stays.
func TestQuarantineIsBoundedByAgeAndNumber(t *testing.T) {
	s := newStore(t, 1, nil)
	if removed, err := s.PurgeQuarantine(t.Context(), asideTime, 0); removed != 0 || err != nil {
		t.Errorf("without any there are %d, %v", removed, err)
	}
	var names []string
	for day := range 5 {
		s.now = func() time.Time { return asideTime.AddDate(0, 0, day) }
		locator := store.NewLocator(1)
		if err := errors.Join(writeBlob(s, locator, 10), s.Quarantine(t.Context(), locator)); err != nil {
			t.Fatal(err)
		}
		names = append(names, s.now().Format(asideFormat)+strings.ReplaceAll(string(locator), "/", "-"))
	}
	if err := os.WriteFile(filepath.Join(s.path, quarantineDirectory, "notes"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		before time.Time
		keep   int
		left   []string
	}{
		{asideTime, 5, names},
		{asideTime.Add(time.Second), 5, names[1:]},
		{asideTime, 3, names[2:]},
		{asideTime.AddDate(0, 0, 3).Add(time.Hour), 3, names[4:]},
		{asideTime, 0, nil},
	} {
		if _, err := s.PurgeQuarantine(t.Context(), step.before, step.keep); err != nil {
			t.Fatal(err)
		}
		want := map[string]int64{"notes": 1}
		for _, name := range step.left {
			want[name] = 10
		}
		wantQuarantined(t, s, want)
	}
}
