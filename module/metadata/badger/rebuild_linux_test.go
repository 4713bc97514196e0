package badger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
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

// TestARebuildKeepsAJournalThatCannotBeReadNow, and says so, as a start does: the database lacks a
// change that only the journal has. An administrator may do without that change.
// Seen to fail with a rebuild that takes what can be read for all that there is.
func TestARebuildKeepsAJournalThatCannotBeReadNow(t *testing.T) {
	root := t.TempDir()
	mustClose(t, publishedStore(t, root, 1))
	behind := copyDatabase(t, root)
	s := mustOpen(t, root)
	publishSome(t, s, 1, 2)
	journal := s.journalPath()
	mustClose(t, s)
	behind(t)
	name, _ := activeSegment(t, root)
	putBack := makeUnreadable(t, name)
	backend := &Backend{Reserve: smallestReserve}
	for what, use := range map[string]func() error{
		"opening": func() error { _, err := backend.OpenMetadata(t.Context(), root, discard); return err },
		"rebuild": func() error { return backend.Rebuild(t.Context(), root, discard) },
	} {
		if err := use(); !errors.Is(err, syscall.EISDIR) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", what, err, store.ErrUnavailable)
		}
	}
	if got := mustGlob(t, filepath.Join(journal, "*")); !slices.Equal(got, []string{name}) {
		t.Errorf("the journal has %v, want %s", got, name)
	}
	putBack()
	if err := backend.Rebuild(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, root)
	wantNumbered(t, s, 2, 0, 1)
	mustClose(t, s)
	behind(t)
	name, _ = activeSegment(t, root)
	makeUnreadable(t, name)
	if err := backend.RebuildJournal(t.Context(), root, discard); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, root)
	defer mustClose(t, s)
	wantNumbered(t, s, 2, 0)
}

// TestARebuildWithFewDescriptors moves nothing: a new database could not be opened either.
// Seen to fail with a database that is moved whatever kept it from being opened.
func TestARebuildWithFewDescriptors(t *testing.T) {
	root, _ := powerCut(t, false)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = uint64(len(mustGlob(t, "/proc/self/fd/*")) + 20)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	err := (&Backend{Reserve: smallestReserve}).Rebuild(t.Context(), root, discard)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("rebuilding: %v, want %v", err, store.ErrUnavailable)
	}
	if aside := mustGlob(t, filepath.Join(root, "metadata", asidePrefix+"*")); len(aside) > 0 {
		t.Errorf("put aside are %v, want nothing", aside)
	}
}

// TestARebuildByTheWrongUser: files that may be read and not written are not the fault of the
// database, which Badger cannot open then.
// Seen to fail with files that are opened to be read.
func TestARebuildByTheWrongUser(t *testing.T) {
	root, _ := powerCut(t, false)
	names, err := databaseFiles(filepath.Join(root, "metadata"), allFiles...)
	if err != nil || len(names) == 0 {
		t.Fatalf("files of the database: %v, %v; want some", names, err)
	}
	h, err := take((&Backend{}).dir(root), smallestReserve, discard, disk.OS{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(h.journalPath(), h.journalOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Chmod(name, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{filepath.Dir(root), root, filepath.Join(root, "metadata")} {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	var reading, wrong error
	asNobody(func() {
		_, reading = os.ReadFile(names[0])
		wrong = h.checkNotAhead(t.Context(), j)
	})
	if reading != nil || !errors.Is(wrong, fs.ErrPermission) {
		t.Errorf("reading: %v, rebuilding: %v; want no error, %v", reading, wrong, fs.ErrPermission)
	}
	if err := h.release(nil); err != nil {
		t.Error(err)
	}
}

// asNobody calls fn by a thread that has no rights of root in the file system.
func asNobody(fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, _ := unix.SetfsuidRetUid(65534) // fails, and changes nothing, where the tests are not root's
	defer func() { _, _ = unix.SetfsuidRetUid(before) }()
	fn()
}
