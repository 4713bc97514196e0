package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Blobs runs the contract of store.BlobStore, for stores that keep others from their place.
func Blobs(t *testing.T, place BlobPlace) { blobs(t, place, false) }

// SharedBlobs is Blobs for stores of which several may be open on one place.
func SharedBlobs(t *testing.T, place BlobPlace) { blobs(t, place, true) }

func blobs(t *testing.T, place BlobPlace, shared bool) {
	for name, test := range map[string]func(*blobFixture){
		"what is committed is read back, after reopening too":      readBack,
		"nothing is visible before commit":                         invisible,
		"an aborted blob leaves nothing":                           aborted,
		"a write that never ended is gone after reopening":         neverEnded,
		"every blob has a locator of its own, after reopening too": freshLocators,
		"a locator that has a blob is not given another":           taken,
		"a restore puts blobs where they were":                     restored,
		"a missing blob is missing":                                missingBlob,
		"a blob of another size is damaged":                        otherSize,
		"a reader outlives the blob":                               readerOutlives,
		"deleting twice is harmless":                               deleteTwice,
		"walk sees every blob, stops on error and ended context":   walk,
		"8 writers at once all commit":                             writers,
		"metadata that is older than was seen is told":             behind,
		"a malformed locator reaches nothing":                      malformed,
		"a closed store is unavailable":                            closedBlobs,
		"a store is bound to one metadata store for ever":          bound,
		"the size may be known, unknown or nothing":                sizes,
		"a writer ends once":                                       endsOnce,
		"a closed store stops its writers, not its readers":        closedUnderWay,
		"walk says when a blob was written":                        walkTimes,
		"a quarantined blob is gone, after reopening too":          quarantined,
		"a reader outlives the quarantine of its blob":             readerOutlivesQuarantine,
		"quarantine touches no other blob":                         quarantineTouchesOne,
		"of 8 quarantines at once all are done":                    quarantinedAtOnce,
		"the condition is told when the store is closed too":       blobCondition,
		"a session goes on where it was saved, after reopening":    sessionGoesOn,
		"what was not saved of a session is cut off":               sessionIsCut,
		"a session that ended is gone, and its bytes are not":      sessionEnds,
		"a missing session is missing, a malformed one too":        sessionIsMissing,
		"a session that lost its bytes is damaged":                 sessionLosesBytes,
		"8 sessions at once do not mix":                            sessionsApart,
		"sessions of a closed store are unavailable":               closedSessions,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) {
				f := &blobFixture{TB: t, place: place, open: place(t), shared: shared}
				f.mustOpen()
				t.Cleanup(func() { f.noError(f.BlobStore.Close()) })
				test(f)
			})
			goleak.VerifyNone(t, before)
		})
	}
}

type blobFixture struct {
	testing.TB
	store.BlobStore
	place  BlobPlace
	open   func() (store.BlobStore, error)
	shared bool
}

func readBack(f *blobFixture) {
	contents := make(map[store.Locator][]byte)
	for _, size := range []int{0, 1, 10, 4095, 4096, 4097, 64 << 10, 64<<10 + 1, 1_000_003} {
		contents[f.put(pattern(size))] = pattern(size)
	}
	for _, locator := range []store.Locator{store.NewLocator(1), store.NewLocator(1 << 40)} { // of another store
		contents[locator] = pattern(20)
		f.putAt(locator, pattern(20))
	}
	for range 2 {
		for locator, content := range contents {
			f.wantContent(locator, content)
			size, err := f.Stat(context.Background(), locator)
			f.noError(err)
			if size != int64(len(content)) {
				f.Errorf("size is %d, want %d", size, len(content))
			}
		}
		f.reopen()
	}
	reader, err := f.Open(context.Background(), f.anyOf(contents, 1_000_003), 1_000_003)
	f.noError(err)
	defer reader.Close()
	_, err = reader.Seek(-3, io.SeekEnd)
	f.noError(err)
	tail, err := io.ReadAll(reader)
	f.noError(err)
	if !bytes.Equal(tail, pattern(1_000_003)[1_000_000:]) {
		f.Errorf("tail is %v", tail)
	}
}

func (f *blobFixture) anyOf(contents map[store.Locator][]byte, size int) store.Locator {
	f.Helper()
	for locator, content := range contents {
		if len(content) == size {
			return locator
		}
	}
	f.Fatalf("no content of %d bytes", size)
	return ""
}

func (f *blobFixture) wantWalked(blobs int) {
	f.Helper()
	if walked := f.walked(); len(walked) != blobs {
		f.Fatalf("walked %v, want %d blobs", walked, blobs)
	}
}

func invisible(f *blobFixture) {
	w := f.write([]byte("content"), 7)
	f.wantWalked(0)
	locator := f.commit(w)
	f.wantContent(locator, []byte("content"))
	f.noError(w.Abort()) // after Commit it does nothing
	f.wantContent(locator, []byte("content"))
}

func aborted(f *blobFixture) {
	for _, size := range []int{100, 300_000} {
		w := f.write(pattern(size), int64(size))
		f.noError(w.Abort())
		f.noError(w.Abort())
		f.wantWalked(0)
	}
	f.wantContent(f.put([]byte("later")), []byte("later"))
}

func neverEnded(f *blobFixture) {
	kept := f.put([]byte("kept"))
	writers := []store.BlobWriter{f.write(pattern(300_000), -1), f.write(pattern(10), 10)}
	f.reopen()
	f.wantWalked(1)
	f.wantContent(kept, []byte("kept"))
	for _, w := range writers {
		if _, err := w.Commit(context.Background()); err == nil {
			f.Error("a writer of a closed store commits")
		}
		f.wantWalked(1)
		_ = w.Abort() // its store is closed; what it says does not matter
	}
	f.wantContent(kept, []byte("kept"))
}

func missingBlob(f *blobFixture) {
	gone := f.put([]byte("other"))
	f.put([]byte("more"))
	f.noError(f.Delete(context.Background(), gone))
	f.wantNothing(gone)
	f.wantNothing(store.NewLocator(1))
	f.noError(f.Delete(context.Background(), store.NewLocator(1)))
}

func otherSize(f *blobFixture) {
	locator := f.put([]byte("four"))
	for _, size := range []int64{0, 3, 5} {
		_, err := f.Open(context.Background(), locator, size)
		f.wantError(err, store.ErrDamaged)
	}
}

func walk(f *blobFixture) {
	want := make(map[store.Locator]int64)
	for i := range 50 {
		want[f.put(pattern(i))] = int64(i)
		elsewhere := store.NewLocator(uint64(i) * 5_000)
		f.putAt(elsewhere, pattern(i))
		want[elsewhere] = int64(i)
	}
	got := f.walked()
	for locator, size := range want {
		if found, ok := got[locator]; !ok || found != size {
			f.Errorf("%s: size %d, found %v", locator, size, ok)
		}
	}
	if len(got) != len(want) {
		f.Errorf("walked %d, want %d", len(got), len(want))
	}
	stop := errors.New("stop")
	calls := 0
	f.wantError(f.Walk(context.Background(), func(store.Locator, int64, time.Time) error {
		calls++
		return stop
	}), stop)
	if calls != 1 {
		f.Errorf("%d calls after an error", calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.wantError(f.Walk(ctx, func(store.Locator, int64, time.Time) error {
		cancel()
		return nil
	}), context.Canceled)
}

func malformed(f *blobFixture) {
	for _, locator := range []store.Locator{"", "x", "/x", "x/", "../x", "x/..", "x/y/z", "x/Y", "/etc/passwd", `x\y`, "x/y\x00",
		"mybackup/notes", "00000000/short", "00000000bak/abcdefghijklmnopqrstuvwxyz", "00000000/ABCDEFGHIJKLMNOPQRSTUVWXYZ", "00000000/../bcdefghijklmnopqrstuvw"} {
		if _, err := f.CreateAt(context.Background(), locator, 1); err == nil {
			f.Errorf("%q can be created", locator)
		}
		if _, err := f.Open(context.Background(), locator, 1); err == nil {
			f.Errorf("%q can be opened", locator)
		}
		if f.Delete(context.Background(), locator) == nil || f.Quarantine(context.Background(), locator) == nil {
			f.Errorf("%q can be deleted or quarantined", locator)
		}
	}
	if got := f.walked(); len(got) > 0 {
		f.Errorf("walked %v", got)
	}
}

func freshLocators(f *blobFixture) {
	seen := make(map[store.Locator][]byte)
	for round := range 3 {
		for i := range 30 {
			size := []int{0, 1, 300_000}[i%3]
			w, err := f.Create(context.Background(), []int64{int64(size), -1}[i%2])
			f.noError(err)
			content := pattern(size)
			f.fill(w, content)
			locator, err := w.Commit(context.Background())
			f.noError(err)
			if _, twice := seen[locator]; twice {
				f.Fatalf("%s twice", locator)
			}
			if _, _, err := locator.Split(); err != nil {
				f.Fatal(err)
			}
			if round == 2 {
				f.noError(f.Delete(context.Background(), locator)) // one that is gone is not given again either
			}
			seen[locator] = content
		}
		f.reopen()
	}
	if walked := f.walked(); len(walked) != 60 {
		f.Errorf("%d blobs are walked, want 60", len(walked))
	}
}

func taken(f *blobFixture) {
	for _, size := range []int{10, 300_000} {
		locator := store.NewLocator(1)
		f.putAt(locator, pattern(size))
		for _, locator := range []store.Locator{locator, f.put(pattern(size))} {
			w, err := f.CreateAt(context.Background(), locator, 5)
			if err == nil {
				f.fill(w, []byte("other"))
				_, err = w.Commit(context.Background())
			}
			if err == nil {
				f.Errorf("a blob of %d bytes is replaced", size)
			}
			f.wantContent(locator, pattern(size))
		}
	}
}

// restored puts blobs where another store had them, some of them at once, and after some were
// deleted.
func restored(f *blobFixture) {
	var locators []store.Locator
	contents := make(map[store.Locator][]byte)
	for i := range 40 {
		content := pattern(100*i + i%3*70_000)
		locator := f.put(content)
		contents[locator] = content
		locators = append(locators, locator)
	}
	source := f.BlobStore
	f.BlobStore = nil
	f.open = f.place(f)
	f.mustOpen()
	defer func() { f.noError(source.Close()) }()
	inParallel(4, func(worker int) {
		for i, locator := range locators {
			if i%4 == worker && i%5 > 0 {
				f.putAt(locator, contents[locator])
			}
		}
	})
	f.reopen()
	for i, locator := range locators {
		if i%5 == 0 {
			f.wantNothing(locator)
			f.putAt(locator, contents[locator])
		}
	}
	fresh := f.put([]byte("fresh"))
	f.reopen()
	for locator, content := range contents {
		f.wantContent(locator, content)
	}
	f.wantContent(fresh, []byte("fresh"))
	f.wantWalked(len(contents) + 1)
}
