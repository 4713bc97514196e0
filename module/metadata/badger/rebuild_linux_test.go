package badger

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAJournalThatCannotBeReadNowIsNoDamage: a damaged database is rebuilt as soon as the
// checkpoint that it needs can be read again, although the sizes and times of the journal's files
// never change.
// Seen to fail with a checkpoint that cannot be read taken for none, with a spare one in its
// place before a hole, and with a read error that is remembered as damage.
func TestAJournalThatCannotBeReadNowIsNoDamage(t *testing.T) {
	for _, spare := range []bool{false, true} {
		root := t.TempDir()
		open := func() (*Store, error) {
			return openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, func(p *home) {
				p.segment, p.inline, p.checkpointLeast = 2_000, true, 1<<40
			})
		}
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		publishSome(t, s, 0, 10)
		if spare {
			err = s.Checkpoint(t.Context())
		}
		publishSome(t, s, 10, 20)
		if err := firstError(func() error { return err }, func() error { return s.Checkpoint(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		want := records(t, s)
		mustClose(t, s)
		removeSegmentOf(t, s.journalPath(), 15) // the newest checkpoint stands for it
		damage(t, mustGlob(t, filepath.Join(root, "metadata", "*.sst"))[0])
		newest := slices.Max(mustGlob(t, filepath.Join(s.journalPath(), "checkpoint-*")))
		putBack := makeUnreadable(t, newest)
		for range 2 {
			if _, err := open(); !errors.Is(err, syscall.EISDIR) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("opening with a checkpoint that cannot be read: %v", err)
			}
		}
		putBack()
		if s, err = open(); err != nil {
			t.Fatalf("opening with a checkpoint that can be read again: %v", err)
		}
		wantRecords(t, s, want)
		mustClose(t, s)
	}
}

func removeSegmentOf(t *testing.T, journal string, change uint64) {
	t.Helper()
	for _, name := range mustGlob(t, filepath.Join(journal, "0*.jsonl.gz")) {
		if first, last := segmentRange(t, name); first <= change && change <= last {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no segment has change %d", change)
}

// makeUnreadable puts a link to a directory in the place of a file, of the same size and time.
func makeUnreadable(t *testing.T, name string) (putBack func()) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(t.TempDir(), "away")
	at := unix.NsecToTimespec(info.ModTime().UnixNano())
	err = firstError(
		func() error { return os.Rename(name, away) },
		func() error { return os.Symlink("."+strings.Repeat("/", int(info.Size())-1), name) },
		func() error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(away, name); err != nil {
			t.Fatal(err)
		}
	}
}
