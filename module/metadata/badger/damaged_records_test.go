package badger

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// spoil writes something else under a key.
func spoil(t *testing.T, s *Store, key []byte) {
	t.Helper()
	write(t, s, func(b *batch) { b.write(key, []byte("damaged")) })
}

// TestADamagedDraftKeepsNoOther from being listed and ended, and is damage of the store.
// Seen to fail with a scan that ends at the first damage, and with a list of an owner that
// reads the drafts of all.
func TestADamagedDraftKeepsNoOther(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	var refs []store.VersionRef
	for i, owner := range []string{"o", "o", "other"} {
		p := store.Publication{
			Ref: numberedRef(owner, i), Blob: store.Blob{Locator: store.NewLocator(1), Digest: store.Digest{byte(i)}},
			Stored: s.Clock(), Created: time.Unix(int64(i), 0), Draft: true,
		}
		if _, _, err := s.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, p.Ref.VersionRef)
	}
	key := versionKey(1, refs[0].Version)
	var whole versionRecord
	if err := s.view(t.Context(), func(r reader) error { _, err := r.get(key, &whole); return err }); err != nil {
		t.Fatal(err)
	}
	spoil(t, s, key)
	before := func() string {
		t.Helper()
		got, err := s.DraftsBefore(t.Context(), time.Unix(100, 0), 10)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got)
	}
	if got, want := before(), fmt.Sprint(refs[1:]); got != want {
		t.Errorf("drafts are %s, want %s", got, want)
	}
	if damage := s.Condition().Damage; !errors.Is(damage, store.ErrDamaged) {
		t.Errorf("damage is %v, want %v", damage, store.ErrDamaged)
	}
	page, err := s.Versions(t.Context(), store.VersionQuery{Owner: "other", Drafts: true, Total: true})
	if err != nil || len(page.Versions) != 1 || page.Total != 1 {
		t.Errorf("the drafts of another owner: %+v, %v", page, err)
	}
	if _, err := s.Versions(t.Context(), store.VersionQuery{Owner: "o", Drafts: true}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("the drafts of the owner: error is %v, want %v", err, store.ErrDamaged)
	}
	write(t, s, func(b *batch) { b.put(key, &whole) })
	if got, want := before(), fmt.Sprint(refs); got != want {
		t.Errorf("drafts are %s, want %s", got, want)
	}
	if damage := s.Condition().Damage; damage != nil {
		t.Errorf("damage that is gone is told: %v", damage)
	}
}

// TestDownloadsBesideADamagedRecordAreCountedOnce, however often the damaged one is told.
// Seen to fail with downloads of which the damaged one ends the counting.
func TestDownloadsBesideADamagedRecordAreCountedOnce(t *testing.T) {
	s := publishedStore(t, t.TempDir(), 2)
	defer mustClose(t, s)
	var all []store.Download
	for i := range 2 {
		file, err := s.Lookup(t.Context(), numberedRef("o", i))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, store.Download{Ref: file.Ref, ID: file.ID, Count: 3, Last: time.Unix(1, 0)})
	}
	spoil(t, s, versionKey(1, all[1].Ref.Version))
	if err := s.AddDownloads(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	page, err := s.Files(t.Context(), store.FileQuery{VersionRef: all[0].Ref.VersionRef})
	if err != nil || page.Files[0].Downloads != 3 {
		t.Errorf("files are %+v, %v; want 3 downloads", page.Files, err)
	}
	if err := s.AddDownloads(t.Context(), make([]store.Download, store.MaxDownloads+1)); err == nil {
		t.Error("more downloads at once than one change takes are counted")
	}
}

// TestAFileWithoutItsBlobIsDamaged, whoever asks for it.
// Seen to fail with a list that shows the file without a place for its bytes.
func TestAFileWithoutItsBlobIsDamaged(t *testing.T) {
	s := publishedStore(t, t.TempDir(), 1)
	defer mustClose(t, s)
	write(t, s, func(b *batch) { b.delete(blobKey(store.Digest{0})) })
	ref := numberedRef("o", 0)
	if _, err := s.Files(t.Context(), store.FileQuery{VersionRef: ref.VersionRef}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("listing: error is %v, want %v", err, store.ErrDamaged)
	}
	if _, err := s.Lookup(t.Context(), ref); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("looking up: error is %v, want %v", err, store.ErrDamaged)
	}
}

// TestDamageThatACheckpointMeets has the database made anew, if the journal can do that. Then
// checkpoints are made again.
// Seen to fail with damage that is only told, with a file checked that stays, and with a
// database that is given up for a damaged journal.
func TestDamageThatACheckpointMeets(t *testing.T) {
	const files = 20
	for name, test := range map[string]struct {
		damage  func(b *batch)
		journal bool // is damaged too
	}{
		"a damaged record":                       {func(b *batch) { b.write(versionKey(1, "7"), []byte("damaged")) }, false},
		"a record is lost":                       {func(b *batch) { b.delete(fileKey(1, "f")) }, false},
		"a damaged record and a damaged journal": {func(b *batch) { b.write(versionKey(1, "7"), []byte("damaged")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			mustClose(t, publishedStore(t, root, files))
			s := mustOpen(t, root)
			write(t, s, test.damage)
			mustClose(t, s)
			s = mustOpen(t, root) // its manifest does not change any more
			defer mustClose(t, s)
			if test.journal {
				changeLine(t, root, 3)
			}
			if err := s.Checkpoint(t.Context()); !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("the first checkpoint: got %v, want %v", err, store.ErrDamaged)
			}
			if test.journal {
				if all, _, err := s.opened.ledger.Accounted(); err != nil || !all {
					t.Errorf("the database is doubted: %v", err)
				}
				if _, err := s.Lookup(t.Context(), numberedRef("o", 1)); err != nil {
					t.Errorf("reading another file: %v", err)
				}
				return
			}
			eventually(t, "checkpoints are made again", func() bool { return s.Checkpoint(t.Context()) == nil })
			wantNumbered(t, s, files, numbers(files)...)
			if aside := mustGlob(t, filepath.Join(s.path(), "damaged-*")); len(aside) != 1 {
				t.Errorf("put aside: %v, want one database", aside)
			}
		})
	}
}
