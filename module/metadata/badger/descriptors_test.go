package badger

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/descriptors"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// withDescriptors has a store think that the process may open so many more files, besides
// those that the store holds.
func withDescriptors(free *atomic.Int64) func(*home) {
	return func(p *home) {
		p.descriptors.Free = func() uint64 {
			return uint64(max(0, int(free.Load())-p.descriptors.Count()))
		}
	}
}

// TestDescriptorsAreRoom: uploads stop first, deletes go on with those that are held, and
// both go on by themselves when there are more.
// Seen to fail with uploads that are not asked; deletes that do not count what is held.
func TestDescriptorsAreRoom(t *testing.T) {
	var free atomic.Int64
	free.Store(1000)
	s, err := openTuned(filepath.Join(t.TempDir(), "metadata"), discard, disk.OS{}, func(p *home) {
		withDescriptors(&free)(p)
		p.idle = time.Hour // the test holds
	})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	for i := range 5 {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
	for i, test := range []struct {
		name            string
		free            int64
		uploads, change bool
	}{
		{"as many as uploads need", descriptors.Held + descriptors.Spare, true, true},
		{"one less", descriptors.Held + descriptors.Spare - 1, false, true},
		{"only those that are held", descriptors.Held, false, true},
		{"fewer than that, since others have been faster", descriptors.Floor - 1, false, false},
		{"enough again", 1000, true, true},
	} {
		free.Store(test.free)
		if test.free < descriptors.Held {
			s.descriptors.LetGo(descriptors.Held)
		}
		s.descriptors.Hold()
		if test.free < descriptors.Held {
			s.descriptors.LetGo(descriptors.Held - int(test.free))
		}
		if err := s.Admit(t.Context()); (err == nil) != test.uploads || err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: an upload: %v", test.name, err)
		}
		if got := s.Condition().Space.IsShort(); got == test.uploads {
			t.Errorf("%s: short: %v", test.name, got)
		}
		err := s.DeleteFile(t.Context(), numberedRef("o", i), testAct)
		if (err == nil) != test.change || err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: a delete: %v", test.name, err)
		}
		if _, err := s.Lookup(t.Context(), numberedRef("o", 4)); i < 4 && err != nil {
			t.Errorf("%s: a read: %v", test.name, err)
		}
	}
}

// TestDescriptorsAreLent: what may begin a file of the journal or of the database finds
// some when there are no others, and they are taken back.
// Seen to fail with an append, and with a transaction, that is lent none.
func TestDescriptorsAreLent(t *testing.T) {
	var free atomic.Int64
	free.Store(1000)
	s, err := openTuned(filepath.Join(t.TempDir(), "metadata"), discard, disk.OS{}, withDescriptors(&free))
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Fatal(err)
	}
	var appending, storing atomic.Uint64
	s.committer.Lock()
	s.appendTo = func(j *journal.Journal, changes []store.Change) (store.Position, error) {
		appending.Store(s.descriptors.Free())
		return j.Append(changes)
	}
	s.committer.Unlock()
	setPersist(s, func(db *database) ([]*layer, error) {
		storing.Store(s.descriptors.Free())
		return db.persist()
	})
	free.Store(descriptors.Held)
	if err := s.DeleteFile(t.Context(), numberedRef("o", 1), testAct); err != nil {
		t.Fatal(err)
	}
	if err := s.awaitPersisted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := appending.Load(); got != descriptors.Lent {
		t.Errorf("the journal has %d, want %d", got, descriptors.Lent)
	}
	if got := storing.Load(); got != descriptors.Lent {
		t.Errorf("the database has %d, want %d", got, descriptors.Lent)
	}
	eventually(t, "all are taken back", func() bool { return s.descriptors.Free() == 0 })
}

// TestADatabaseOpensOnlyWithDescriptorsToSpare: each of its tables takes one as long as it
// is open.
func TestADatabaseOpensOnlyWithDescriptorsToSpare(t *testing.T) {
	root := t.TempDir()
	mustClose(t, publishedStore(t, root, 3))
	tables, err := filepath.Glob(filepath.Join(root, "metadata", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	var free atomic.Int64
	need := int64(len(tables) + descriptors.Spare)
	free.Store(need - 1)
	if _, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, withDescriptors(&free)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("with %d: %v", free.Load(), err)
	}
	free.Store(need)
	s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, withDescriptors(&free))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
}
