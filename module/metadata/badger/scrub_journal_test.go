package badger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestRotInTheJournalIsRepaired while the database is whole, wherever it is: afterwards the
// journal makes the same database, and goes on.
func TestRotInTheJournalIsRepaired(t *testing.T) {
	for _, test := range []struct {
		name    string
		pattern string
		index   int // of the files that match; -1 is the last
	}{
		{"a sealed segment", "0*.jsonl.gz", 0},
		{"a sealed segment after the checkpoint", "0*.jsonl.gz", -1},
		{"the segment that is written to", "0*.jsonl", -1},
		{"the only checkpoint", "checkpoint-*", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			open := func() *Store {
				s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, func(p *home) {
					p.segment, p.inline, p.checkpointLeast = 2_000, true, 1<<40
				})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := open()
			publishSome(t, s, 0, 15)
			if err := s.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			publishSome(t, s, 15, 34)
			names := mustGlob(t, filepath.Join(root, "metadata", journalDirectory, test.pattern))
			slices.Sort(names)
			name := names[(test.index+len(names))%len(names)]
			damage(t, name)
			noPace := func(int) error { return nil }
			if err := s.ScrubJournal(t.Context(), noPace); err != nil {
				t.Fatal(err)
			}
			if err := s.Condition().Damage; err != nil {
				t.Errorf("after the repair: %v", err)
			}
			if err := s.Check(t.Context(), func(problem string) { t.Error(problem) }); err != nil {
				t.Error(err)
			}
			publishSome(t, s, 34, 35)
			want := records(t, s)
			mustClose(t, s)
			aside := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*", filepath.Base(name)))
			if len(aside) != 1 {
				t.Errorf("%s is put aside %d times", name, len(aside))
			}
			dropDatabase(t, filepath.Join(root, "metadata"))
			s = open()
			defer mustClose(t, s)
			wantRecords(t, s, want)
		})
	}
}

// TestRotInASegmentWithoutAChange, as that of a store to which nothing was published since it was
// made or restored: the segment is made anew, and the journal goes on in it.
// Seen to fail with the segment moved away while the store writes to it, with one that is not
// made anew, and with a chain in its header that is not looked at.
func TestRotInASegmentWithoutAChange(t *testing.T) {
	for _, changes := range []int{0, 5} {
		for _, part := range []string{`"store":"`, `"chain":"`} {
			root := t.TempDir()
			s := mustOpen(t, root)
			publishSome(t, s, 0, changes)
			if err := s.seal(s.opened.journal); err != nil {
				t.Fatal(err)
			}
			name := slices.Max(mustGlob(t, filepath.Join(s.journalPath(), "0*.jsonl")))
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(text, []byte(part)) + len(part)
			text[at] = map[bool]byte{true: '1', false: '0'}[text[at] == '0']
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second finds nothing
				if err := s.ScrubJournal(t.Context(), func(int) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if aside := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*", "0*")); len(aside) > 0 {
				t.Errorf("the segment that the store writes to, or a good one, is put aside: %v", aside)
			}
			publishSome(t, s, changes, changes+1)
			if err := s.checkJournalFile(); err != nil {
				t.Error(err)
			}
			want := records(t, s)
			mustClose(t, s)
			dropDatabase(t, filepath.Join(root, "metadata"))
			s = mustOpen(t, root)
			wantRecords(t, s, want)
			mustClose(t, s)
		}
	}
}

// TestRotThatCannotBeRepairedIsTold: a database that lost records must not be told to the
// journal, whatever that is like.
func TestRotThatCannotBeRepairedIsTold(t *testing.T) {
	root := t.TempDir()
	s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, func(p *home) { p.segment, p.inline = 1_500, true })
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	publishSome(t, s, 0, 20)
	ref := numberedRef("o", 3)
	write(t, s, func(b *batch) { b.delete(versionKey(1, ref.Version)) })
	name := mustGlob(t, filepath.Join(root, "metadata", journalDirectory, "0*.jsonl.gz"))[0]
	damage(t, name)
	if err := s.ScrubJournal(t.Context(), func(int) error { return nil }); err == nil || !strings.Contains(err.Error(), "add up") {
		t.Errorf("the repair: %v", err)
	}
	if err := s.Condition().Damage; err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
		t.Errorf("the condition tells %v", err)
	}
	if found := mustGlob(t, filepath.Join(root, "metadata", journalDirectory, "checkpoint-*")); len(found) > 0 {
		t.Errorf("there is a checkpoint: %v", found)
	}
}

// TestRebuildTakesWhatIsWhole: a journal that cannot make the database anew is made anew
// from it, when that is asked for. With both damaged neither is touched.
func TestRebuildTakesWhatIsWhole(t *testing.T) {
	for _, both := range []bool{false, true} {
		root := t.TempDir()
		s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, func(p *home) { p.segment, p.inline = 1_500, true })
		if err != nil {
			t.Fatal(err)
		}
		publishSome(t, s, 0, 20)
		want := records(t, s)
		mustClose(t, s)
		damage(t, mustGlob(t, filepath.Join(root, "metadata", journalDirectory, "0*.jsonl.gz"))[0])
		if both {
			if err := os.Remove(filepath.Join(root, "metadata", "MANIFEST")); err != nil {
				t.Fatal(err)
			}
		}
		err = (&Backend{Reserve: smallestReserve}).Rebuild(t.Context(), root, discard)
		if both {
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "either") {
				t.Errorf("with both damaged: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		again := mustOpen(t, root)
		wantRecords(t, again, want)
		mustClose(t, again)
	}
}

// TestWhatWasPutAsideGoesAway: three are kept, and none for more than thirty days.
func TestWhatWasPutAsideGoesAway(t *testing.T) {
	root := t.TempDir()
	mustClose(t, publishedStore(t, root, 1))
	stamp := func(age time.Duration) string { return asidePrefix + time.Now().Add(-age).UTC().Format(asideStamp) }
	day := 24 * time.Hour
	names := []string{stamp(40 * day), stamp(31 * day), stamp(9 * day), stamp(8 * day), stamp(8*day) + "-1", stamp(day), asidePrefix + "by-hand"}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(root, "metadata", name, "journal"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, mustOpen(t, root))
	var left []string
	for _, name := range mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*")) {
		left = append(left, filepath.Base(name))
	}
	if want := names[3:]; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}

// TestWhatARunningStorePutsAsideGoesAway: a store whose database is rebuilt again and again keeps
// three of them while it runs. Seen to fail with what was put aside removed at a start only.
func TestWhatARunningStorePutsAsideGoesAway(t *testing.T) {
	root := t.TempDir()
	s := publishedStore(t, root, 1)
	defer mustClose(t, s)
	manifest := filepath.Join(root, "metadata", badger.ManifestFilename)
	for range asidesKept + 2 {
		if err := os.WriteFile(manifest, []byte("no manifest"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.reopen(); err != nil {
			t.Fatal(err)
		}
	}
	wantNumbered(t, s, 1, 0)
	if aside := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*")); len(aside) != asidesKept {
		t.Errorf("%d databases are put aside, want %d", len(aside), asidesKept)
	}
}

func publishSome(t *testing.T, s *Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := publishNumbered(s, "o", i); err != nil {
			t.Fatal(err)
		}
	}
}
