package filesystem

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var update = flag.Bool("update", false, "rewrite the recorded steps")

const recordedSteps = "testdata/steps.txt"

var (
	blobName = regexp.MustCompile(`[a-z2-7]{26}`)
	recorded = regexp.MustCompile(`(write uploads/\S+), \d+ bytes`)
	asideAt  = regexp.MustCompile(`\d{8}T\d{6}Z`)
)

// TestSteps compares each operation on the disk, in its order, with what is
// recorded.
// Seen to fail with a rename before the sync; a failed sync tried again.
func TestSteps(t *testing.T) {
	root := t.TempDir()
	fsys := disktest.New(root, disktest.Fault{})
	var s *Store
	var first, second, third store.Locator
	put := func(locator *store.Locator, size int) func() error {
		return func() (err error) {
			*locator, err = putBlob(s, make([]byte, size))
			return err
		}
	}
	elsewhere := store.NewLocator(1)
	var session store.Session
	large, larger, shorter := store.NewLocator(1), store.NewLocator(1), store.NewLocator(1)
	ctx := t.Context()
	var text strings.Builder
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"open a new directory", func() (err error) { s, err = openSteps(root, fsys); return err }},
		{"bind it", func() error { return s.Bind(ctx, "one") }},
		{"write a small blob, the first of its pack", put(&first, 10)},
		{"write another, of two blocks", put(&second, 5000)},
		{"write a small one of another store, the first of its directory", func() error { return writeBlob(s, elsewhere, 10) }},
		{"write a large one", func() error { return writeBlob(s, large, allocateFrom) }},
		{"write one that the disk begins with before it is whole", func() error {
			w, err := s.CreateAt(ctx, larger, 2*flushStep+1)
			if err != nil {
				return err
			}
			return errors.Join(write(w, flushStep), write(w, flushStep), write(w, 1), commit(w))
		}},
		{"write less than was announced", func() error {
			w, err := s.CreateAt(ctx, shorter, 2*allocateFrom)
			if err != nil {
				return err
			}
			return errors.Join(write(w, 10), commit(w))
		}},
		{"drop a third", func() error { return s.mustBegin(t, smallBlob+1).Abort() }},
		{"quarantine one, the first", func() error { return s.Quarantine(ctx, first) }},
		{"quarantine one that is absent", func() error { return s.Quarantine(ctx, first) }},
		{"delete one", func() error { return s.Delete(ctx, second) }},
		{"fill the pack, and begin another", func() error { return errors.Join(put(&third, smallBlob)(), put(&second, smallBlob)()) }},
		{"delete the last of a pack", func() error { return s.Delete(ctx, third) }},
		{"delete the others", func() error {
			return errors.Join(s.Delete(ctx, elsewhere), s.Delete(ctx, large), s.Delete(ctx, larger), s.Delete(ctx, shorter))
		}},
		{"begin a session", func() (err error) {
			session, err = s.BeginSession(ctx, store.Session{ID: store.NewSessionID(), Length: 20})
			return err
		}},
		{"save 10 bytes of it", func() error { return saveBytes(s, &session, 10, 0) }},
		{"leave 5 bytes of it that are not saved", func() error { return saveBytes(s, &session, 0, 5) }},
		{"cut them off, and save the rest", func() error { return saveBytes(s, &session, 10, 0) }},
		{"end it", func() error { return errors.Join(s.EndSession(ctx, session.ID), s.Delete(ctx, session.Locator)) }},
		{"close", func() error { s.mustBegin(t, smallBlob+1); return s.Close() }},
		{"open again, with an upload that never ended", func() (err error) { s, err = openSteps(root, fsys); return err }},
		{"bind again", func() error { return s.Bind(ctx, "one") }},
		{"write one", put(&third, 10)},
		{"quarantine it", func() error { return s.Quarantine(ctx, third) }},
	} {
		before := len(fsys.Operations())
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		fmt.Fprintf(&text, "# %s\n%s\n", step.name, normalSteps(fsys.Log(before)))
	}
	defer s.Close()
	defer fsys.Kill()
	wantRecorded(t, text.String())
}

// openSteps opens a store of which two blobs of the largest size fill a pack.
func openSteps(root string, fsys disk.FS) (*Store, error) {
	take := func() (*directory.Claim, error) { return directory.Take(root, layout, layoutVersion) }
	return open(take, 1, discard, fsys, format.Layout{Slots: 200, Blocks: 20, Step: 32 << 10, Open: 2})
}

// normalSteps leaves out what differs from run to run: random names, times, and the
// length of texts that have both.
func normalSteps(log string) string {
	log = blobName.ReplaceAllString(log, "<blob>")
	log = recorded.ReplaceAllString(log, "$1, the session")
	return asideAt.ReplaceAllString(log, "<time>")
}

// saveBytes goes on with a session: some bytes that it saves, and some that it does not.
func saveBytes(s *Store, session *store.Session, saved, lost int) error {
	w, err := s.ContinueSession(context.Background(), *session)
	if err != nil {
		return err
	}
	if saved > 0 {
		session.Offset += int64(saved)
		_, err := w.Write(make([]byte, saved))
		if err := errors.Join(err, w.Save(context.Background(), *session)); err != nil {
			return err
		}
	}
	if lost > 0 {
		if _, err := w.Write(make([]byte, lost)); err != nil {
			return err
		}
	}
	return w.Close()
}

func wantRecorded(t *testing.T, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(recordedSteps, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(recordedSteps)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the steps differ from %s (run with -update and read the diff):\n%s", recordedSteps, got)
	}
}

// TestNoChangePassesByTheFileSystem that the store was opened with: when that one
// does nothing any more, nothing changes.
func TestNoChangePassesByTheFileSystem(t *testing.T) {
	ctx := t.Context()
	fsys := disktest.New(t.TempDir(), disktest.Fault{})
	root := filepath.Join(t.TempDir(), "blobs")
	s, err := openSteps(root, fsys)
	if err != nil {
		t.Fatal(err)
	}
	locator, err := putBlob(s, make([]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := store.NewLocator(1)
	if err := writeBlob(s, elsewhere, 10); err != nil {
		t.Fatal(err)
	}
	w := s.mustCreate(t, smallBlob+1)
	small, err := s.Create(ctx, smallBlob)
	if err != nil {
		t.Fatal(err)
	}
	fsys.Kill()
	before := listed(t, root)
	_, writing := w.Write([]byte("0123456789"))
	_, creating := s.CreateAt(ctx, store.NewLocator(1), 10)
	for _, err := range []error{writing, creating, commit(w), commit(small), s.Delete(ctx, locator), s.Quarantine(ctx, locator), s.Delete(ctx, elsewhere), s.Quarantine(ctx, elsewhere), s.Bind(ctx, "one")} {
		if !errors.Is(err, disktest.ErrCrashed) {
			t.Errorf("error is %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openSteps(root, fsys); !errors.Is(err, disktest.ErrCrashed) {
		t.Errorf("opening: %v", err)
	}
	if after := listed(t, root); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
}

// listed is every name in a directory, with its size.
func listed(t *testing.T, root string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && !entry.IsDir() {
			fmt.Fprintln(&text, path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}
