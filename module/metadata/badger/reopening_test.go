package badger

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// probes tells each time that a probe of the disk has ended.
type probes struct {
	disk.FS
	ended chan time.Time
}

func (p probes) Remove(name string) error {
	err := p.FS.Remove(name)
	if filepath.Base(name) == probeFile {
		p.ended <- time.Now()
	}
	return err
}

// TestAStoreThatDoesNotOpenIsTriedEverMoreSeldom, tells how seldom, and opens at last.
// Seen to fail with a store that is opened at each interval, and with one that tells another.
func TestAStoreThatDoesNotOpenIsTriedEverMoreSeldom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metadata")
	ended := make(chan time.Time, 1_000)
	const retry = time.Millisecond
	s, err := openTuned(path, discard, probes{disk.OS{}, ended}, func(p *home) { p.retry = retry })
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	inTheWay := filepath.Join(path, "09999.mem")
	if err := os.MkdirAll(filepath.Join(inTheWay, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	_ = s.database().fail(errors.New("a test"))
	last := <-ended
	for pause := retry; pause < 200*retry; pause *= 2 {
		next := <-ended
		if after := next.Sub(last); after < pause {
			t.Errorf("tried again after %v, want no sooner than %v", after, pause)
		}
		last = next
	}
	var retried *waiting.Retried
	eventually(t, "it is told how seldom", func() bool {
		return errors.As(s.Condition().Fault, &retried) && retried.Interval >= 100*retry
	})
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store is opened", func() bool { return s.Condition().Fault == nil })
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Error(err)
	}
}

// openFiles counts the files of a journal that were begun and are not closed.
type openFiles struct {
	disk.FS
	begun, open int
}

func (f *openFiles) Create(name string) (disk.File, error) { return f.count(name, f.FS.Create) }

func (f *openFiles) Edit(name string) (disk.File, error) { return f.count(name, f.FS.Edit) }

func (f *openFiles) count(name string, begin func(string) (disk.File, error)) (disk.File, error) {
	file, err := begin(name)
	if err != nil || filepath.Base(filepath.Dir(name)) != journalDirectory {
		return file, err
	}
	f.begun++
	f.open++
	return &countedFile{file, f}, nil
}

type countedFile struct {
	disk.File
	all *openFiles
}

func (f *countedFile) Close() error {
	f.all.open--
	return f.File.Close()
}

// TestAnOpeningThatFailsLeavesNoFileOpen of the journal, which it has begun to write.
// Seen to fail with a journal that is not closed after an error.
func TestAnOpeningThatFailsLeavesNoFileOpen(t *testing.T) {
	root := t.TempDir()
	s := publishedStore(t, root, 1)
	mustClose(t, s)
	behind := copyDatabase(t, root)
	s = mustOpen(t, root)
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	behind(t)
	files := &openFiles{FS: disk.OS{}}
	h, err := take(filepath.Join(root, "metadata"), smallestReserve, discard, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o, err := h.open(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("opened %v, %v, want %v", o, err, context.Canceled)
	}
	if err := h.release(nil); err != nil {
		t.Fatal(err)
	}
	if files.begun == 0 || files.open > 0 {
		t.Errorf("of %d files of the journal, %d are open, want none of some", files.begun, files.open)
	}
}

// TestAStoreThatFailsAgainIsOpenedEverMoreSeldom: it opens each time, and then a compaction
// fails.
// Seen to fail with a store that forgets its failures once it is opened.
func TestAStoreThatFailsAgainIsOpenedEverMoreSeldom(t *testing.T) {
	root := t.TempDir()
	mustClose(t, compactible(t, root))
	ended := make(chan time.Time, 1_000)
	const retry = 100 * time.Millisecond
	s, err := openTuned(filepath.Join(root, "metadata"), discard, probes{disk.OS{}, ended}, func(p *home) { p.retry = retry })
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	var last time.Time
	for round, pause := 0, time.Duration(0); pause <= 8*retry; round++ {
		for len(ended) > 0 {
			<-ended // a second try of the last round
		}
		// It becomes a table when the database is closed, to be compacted in the next round.
		if err := errors.Join(publishNumbered(s, "o", compactedFiles+round), s.awaitPersisted(t.Context())); err != nil {
			t.Fatal(err)
		}
		inTheWay := failCompaction(t, s)
		if _, err := s.Lookup(t.Context(), numberedRef("o", 7)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("looking up: %v, want %v", err, store.ErrUnavailable)
		}
		for _, name := range inTheWay {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		next := <-ended
		if after := next.Sub(last); after < pause {
			t.Errorf("opened again after %v, want no sooner than %v", after, pause)
		}
		eventually(t, "changes are taken again", func() bool { return s.Condition().Fault == nil })
		last, pause = next, max(retry, 2*pause)
	}
}

// TestAnotherErrorIsTriedSoon: a disk that fails now and then has another call fail each time,
// and is soon used when it works. What stays in the way is tried ever more seldom.
// Seen to fail with pauses that grow with each error.
func TestAnotherErrorIsTriedSoon(t *testing.T) {
	const retry = time.Second
	claim, err := directory.Take(t.TempDir(), layout, layoutVersion)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	s := &Store{home: &home{claim: claim, fsys: disk.OS{}, retry: retry}}
	for i, try := range []struct {
		err  error
		want time.Duration
	}{
		{errors.New("syncing a table"), retry},
		{errors.New("renewing a segment"), retry},
		{errors.New("renewing a segment"), 2 * retry},
		{errors.New("renewing a segment"), 4 * retry},
		{errors.New("syncing a table"), retry},
		{nil, 2 * retry}, // and it fails again
	} {
		_ = s.openAgain(func() error { return nil }, func() error { return try.err })
		if s.pause != try.want {
			t.Errorf("try %d, %v: a pause of %v, want %v", i, try.err, s.pause, try.want)
		}
	}
}

// TestTheIntervalThatIsToldIsTheOneThatIsUsed: while the disk takes no writes it is asked at the
// shortest interval, however long the pause before was; and a store that fails again soon after it
// was opened tells what is left of the pause.
// Seen to fail with the pause told in each case, and with nothing told before it is over.
func TestTheIntervalThatIsToldIsTheOneThatIsUsed(t *testing.T) {
	const retry, pause = time.Hour, 10 * time.Hour
	for name, test := range map[string]struct{ tried, want time.Duration }{
		"the disk takes no writes": {2 * pause, retry},
		"it fails again":           {pause / 10, pause - pause/10},
	} {
		gone := filepath.Join(t.TempDir(), "gone")
		s := &Store{home: &home{claim: &directory.Claim{Path: gone}, fsys: disk.OS{}, log: discard, retry: retry}}
		s.space = &space{path: gone, fsys: s.fsys, log: discard}
		s.life, s.pause, s.tried = t.Context(), pause, time.Now().Add(-test.tried)
		s.failed.Store(true)
		s.recover()
		retried := new(waiting.Retried)
		err := s.unavailable()
		errors.As(err, &retried)
		if got := retried.Interval.Round(time.Hour); got != test.want {
			t.Errorf("%s: got an interval of %v, want %v: %v", name, got, test.want, err)
		}
	}
}

// TestAnotherDirectoryIsNotOpenedAgain, nor written, when it took the place of the store's, as by
// a mount over it. The store opens again once its own is back.
// Seen to fail with a store that opens what lies at its path.
func TestAnotherDirectoryIsNotOpenedAgain(t *testing.T) {
	root := t.TempDir()
	mustClose(t, publishedStore(t, root, 1))
	path := filepath.Join(root, "metadata")
	other := t.TempDir()
	if err := copySparse(other, path); err != nil {
		t.Fatal(err)
	}
	s, err := openTuned(path, discard, disk.OS{}, func(p *home) { p.retry = time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Fatal(err)
	}
	exchange := func(from, to string) {
		if err := errors.Join(os.Rename(path, from), os.Rename(to, path)); err != nil {
			t.Fatal(err)
		}
	}
	want := filesIn(t, other)
	exchange(path+"-away", other)
	_ = s.database().fail(errors.New("a test"))
	eventually(t, "it is told why the store stays closed", func() bool {
		retried := new(waiting.Retried)
		return errors.As(s.Condition().Fault, &retried) && strings.Contains(retried.Err.Error(), "removed or replaced")
	})
	exchange(other, path+"-away")
	if got := filesIn(t, other); !maps.Equal(got, want) {
		t.Error("the other directory was written")
	}
	eventually(t, "the store is opened", func() bool { return s.Condition().Fault == nil })
	wantNumbered(t, s, 2, 0, 1)
}
