package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// carrier is one of packs whose lines a test makes unreadable.
type carrier struct {
	journal.Carrier
	failures  int // so many readings fail
	forgotten bool
}

const always = 1 << 30

func (c *carrier) Carried(id string, after uint64, journal string) ([]byte, error) {
	if c.forgotten {
		return nil, nil
	}
	if c.failures > 0 {
		c.failures--
		return nil, fmt.Errorf("%w: reading lines: %w", store.ErrUnavailable, syscall.EIO)
	}
	return c.Carrier.Carried(id, after, journal)
}

func (c *carrier) Forget() error {
	c.forgotten = c.failures > 0
	return nil
}

// powerCut is a store of ten files, of which the journal lacks the last since a power cut. Packs
// have the lines of that, and of the changes 5, 6 and 7. The database has all of them, or two.
func powerCut(t *testing.T, behind bool) (root string, c *carrier) {
	t.Helper()
	root = t.TempDir()
	publish := func(from, to int) {
		t.Helper()
		b, err := openBesidePacks(root, disk.OS{})
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if err := b.publish(t, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
	}
	publish(0, 2)
	putBack := copyDatabase(t, root)
	publish(2, 10)
	if behind {
		putBack(t)
	}
	cutLastLine(t, root)
	s, err := openPacks(root, disk.OS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return root, &carrier{Carrier: s}
}

// TestARebuildTakesLinesThatOnlyPacksHave. The store is opened without the packs afterwards, so
// that it does not take the lines then.
// Seen to fail with a rebuild whose journal has no carrier, with a journal that is made without
// the carried lines, with a journal that is not read again behind them, and with lines that are
// left out at the first failure.
func TestARebuildTakesLinesThatOnlyPacksHave(t *testing.T) {
	for name, test := range map[string]struct {
		behind   bool // the database
		damaged  int  // a line of the journal
		failures int  // of reading carried lines
		rebuild  func(*Backend, *testing.T, string) error
	}{
		"the database, which has all":                      {rebuild: rebuild},
		"the database, which is behind":                    {behind: true, rebuild: rebuild},
		"the journal of a database that has all":           {rebuild: rebuildJournal},
		"the journal of a database that is behind":         {behind: true, rebuild: rebuildJournal},
		"a journal that is damaged where the database was": {behind: true, damaged: 2, rebuild: rebuild},
		"a journal that is damaged where packs have lines": {behind: true, damaged: 6, rebuild: rebuildJournal},
		"the same, found by a rebuild of the database":     {behind: true, damaged: 6, rebuild: rebuild},
		"the same, and lines are read at the second try":   {behind: true, damaged: 6, failures: 1, rebuild: rebuildJournal},
	} {
		t.Run(name, func(t *testing.T) {
			root, c := powerCut(t, test.behind)
			if test.damaged > 0 {
				changeLine(t, root, test.damaged)
			}
			c.failures = test.failures
			if err := test.rebuild(&Backend{Reserve: smallestReserve, carrier: c}, t, root); err != nil {
				t.Fatal(err)
			}
			if c.forgotten {
				t.Error("lines that can be read were forgotten")
			}
			s := mustOpen(t, root)
			defer mustClose(t, s)
			wantNumbered(t, s, 10, numbers(10)...)
		})
	}
}

func rebuild(b *Backend, t *testing.T, root string) error {
	return b.Rebuild(t.Context(), root, discard)
}

func rebuildJournal(b *Backend, t *testing.T, root string) error {
	return b.RebuildJournal(t.Context(), root, discard)
}

// TestARebuildMovesNothingThatItMayNeed: what is refused leaves the journal as it is and puts
// nothing aside. Only an administrator who asks for a new journal may do without lines that
// cannot be read.
// Seen to fail with a rebuild whose journal has no carrier, with lines that anybody leaves out,
// with a database that nobody looks at, and with one that is moved where another has no room.
func TestARebuildMovesNothingThatItMayNeed(t *testing.T) {
	for name, test := range map[string]struct {
		unreadable, alone bool
		damaged           int
		reserve           int64
		want              error
		says              string
	}{
		"lines cannot be read":                        {unreadable: true, want: store.ErrUnavailable, says: "asking for lines"},
		"the journal is damaged, lines are not read":  {unreadable: true, damaged: 4, want: store.ErrUnavailable, says: "asking for lines"},
		"the database is ahead, and no packs are had": {alone: true, want: store.ErrDamaged, says: "the database has 10 changes and the journal 9: run `caddy generic-registry rebuild --journal`"},
		"the disk has no room for another database":   {reserve: 1 << 60, want: store.ErrNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			root, c := powerCut(t, false)
			if test.damaged > 0 {
				changeLine(t, root, test.damaged)
			}
			if test.unreadable {
				c.failures = always
			}
			backend := &Backend{Reserve: max(test.reserve, smallestReserve), carrier: c}
			if test.alone {
				backend.carrier = nil
			}
			segment, before := activeSegment(t, root)
			err := backend.Rebuild(t.Context(), root, discard)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.says)
			}
			again, after := activeSegment(t, root)
			if aside := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*")); len(aside) > 0 || c.forgotten {
				t.Errorf("put aside are %v, forgotten %t; want nothing", aside, c.forgotten)
			}
			if segment != again || fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("the journal has %s of %d lines, want %s of %d", again, len(after), segment, len(before))
			}
			backend.Reserve = smallestReserve
			if err := backend.RebuildJournal(t.Context(), root, discard); err != nil || c.forgotten != test.unreadable {
				t.Fatalf("making the journal anew: got %v, forgotten %t; want no error, forgotten %t", err, c.forgotten, test.unreadable)
			}
			s := mustOpen(t, root)
			defer mustClose(t, s)
			wantNumbered(t, s, 10, numbers(10)...)
		})
	}
}

// TestARebuiltJournalLacksLinesThatCannotBeRead, and has what the database and the old journal
// have.
func TestARebuiltJournalLacksLinesThatCannotBeRead(t *testing.T) {
	root, c := powerCut(t, true)
	c.failures = always
	if err := rebuildJournal(&Backend{Reserve: smallestReserve, carrier: c}, t, root); err != nil || !c.forgotten {
		t.Fatalf("got %v, forgotten %t; want no error, forgotten", err, c.forgotten)
	}
	s := mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, 10, numbers(9)...)
}

// TestARebuildOfAMissingDatabase has nothing that could be ahead of the journal.
func TestARebuildOfAMissingDatabase(t *testing.T) {
	root, c := powerCut(t, false)
	names, err := databaseFiles(filepath.Join(root, "metadata"), allFiles...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := rebuild(&Backend{Reserve: smallestReserve, carrier: c}, t, root); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, 10, numbers(10)...)
}

// TestARebuildWhereBadgerFails: what Badger began may go on writing, so another process opens the
// new database. The old one is out of its way then.
// Seen to fail with a rebuild that refuses each time.
func TestARebuildWhereBadgerFails(t *testing.T) {
	root, c := powerCut(t, true)
	backend := &Backend{Reserve: smallestReserve, carrier: c}
	h, err := take(backend.dir(root), smallestReserve, discard, disk.OS{}, c)
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(h.journalPath(), h.journalOptions())
	if err != nil {
		t.Fatal(err)
	}
	h.stuck.Store(true)
	err = h.checkNotAhead(t.Context(), j)
	aside := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*"))
	if len(aside) != 1 || !strings.Contains(fmt.Sprint(err), aside[0]+" now, because Badger broke down over it: run the command again") {
		t.Errorf("got %v, and put aside are %v; want one directory, which is named", err, aside)
	}
	h.stuck.Store(false) // as in another process
	if err := h.release(nil); err != nil {
		t.Fatal(err)
	}
	if err := rebuild(backend, t, root); err != nil {
		t.Fatal(err)
	}
	if again := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*")); len(again) != 1 {
		t.Errorf("put aside are %v, want the old database alone", again)
	}
	s := mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, 10, numbers(10)...)
}

// TestARootMayHaveAnyName: characters that are patterns for others are none here.
// Seen to fail with a search that takes the path of the store for a pattern.
func TestARootMayHaveAnyName(t *testing.T) {
	root := filepath.Join(t.TempDir(), `a [1]*?\ b`)
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, root)
	if err := publishNumbered(s, "o", 0); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	path := filepath.Join(root, "metadata")
	names, err := databaseFiles(path, allFiles...)
	if err != nil || len(names) < 3 {
		t.Errorf("files of the database: %v, %v; want some", names, err)
	}
	if err := rebuild(&Backend{Reserve: smallestReserve}, t, root); err != nil {
		t.Fatal(err)
	}
	aside, err := disk.Matching(path, asidePrefix+"*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("put aside are %v, %v; want one directory", aside, err)
	}
	if moved, err := databaseFiles(aside[0], allFiles...); err != nil || len(moved) != len(names) {
		t.Errorf("of the database %v, %v were moved; want %d files", moved, err, len(names))
	}
	s = mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, 1, numbers(1)...)
}
