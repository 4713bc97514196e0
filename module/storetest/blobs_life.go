package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func readerOutlives(f *blobFixture) { f.readerKeeps(f.Delete) }

// readerKeeps holds that a reader has all bytes of a blob that is taken away meanwhile.
func (f *blobFixture) readerKeeps(takeAway func(context.Context, store.Locator) error) {
	f.Helper()
	for _, size := range []int{5_000, 500_000} {
		content := pattern(size)
		locator := f.put(content)
		reader, err := f.Open(context.Background(), locator, int64(len(content)))
		f.noError(err)
		f.noError(takeAway(context.Background(), locator))
		f.wantNothing(locator)
		got, err := io.ReadAll(reader)
		f.noError(err)
		f.noError(reader.Close())
		if !bytes.Equal(got, content) {
			f.Error("the reader lost the bytes")
		}
	}
}

func deleteTwice(f *blobFixture) {
	for _, locator := range []store.Locator{f.put([]byte("x")), f.put(pattern(300_000))} {
		f.noError(f.Delete(context.Background(), locator))
		f.noError(f.Delete(context.Background(), locator))
		f.wantNothing(locator)
	}
}

func closedBlobs(f *blobFixture) {
	ctx := context.Background()
	locator := f.put([]byte("x"))
	f.wantSecond(locator)
	f.noError(f.Close())
	f.noError(f.Close())
	_, createErr := f.Create(ctx, 1)
	_, openErr := f.Open(ctx, locator, 1)
	_, statErr := f.Stat(ctx, locator)
	walkErr := f.Walk(ctx, func(store.Locator, int64, time.Time) error { return nil })
	for _, err := range []error{createErr, openErr, statErr, walkErr, f.Delete(ctx, locator), f.Quarantine(ctx, locator), f.Bind(ctx, "one")} {
		f.wantError(err, store.ErrUnavailable)
	}
	f.mustOpen()
	f.wantContent(locator, []byte("x"))
}

// wantSecond wants a second store on the same place to be refused, or of one that is shared
// to have the blob of the first.
func (f *blobFixture) wantSecond(locator store.Locator) {
	f.Helper()
	second, err := f.open()
	if !f.shared {
		f.wantError(err, store.ErrLocked)
		return
	}
	f.noError(err)
	size, err := second.Stat(context.Background(), locator)
	f.noError(err)
	if size != 1 {
		f.Errorf("the second store finds %d bytes, want 1", size)
	}
	f.noError(second.Close())
}

func bound(f *blobFixture) {
	var id string
	for round := range 2 {
		f.noError(f.Bind(context.Background(), "one"))
		if identified, ok := f.BlobStore.(store.Identified); ok {
			now, err := identified.BlobsID(context.Background())
			f.noError(err)
			if now == "" || round > 0 && now != id {
				f.Errorf("the ID is %q, it was %q", now, id)
			}
			id = now
		}
		f.noError(f.Bind(context.Background(), "one"))
		f.wantError(f.Bind(context.Background(), "another"), store.ErrMismatch)
		f.reopen()
	}
	if got := f.walked(); len(got) > 0 {
		f.Errorf("walked %v", got)
	}
}

func writers(f *blobFixture) {
	const clients, each = 8, 10
	locators := make([][]store.Locator, clients)
	inParallel(clients, func(i int) {
		for j := range each {
			locators[i] = append(locators[i], f.put([]byte(numbered(i*each+j))))
		}
	})
	for i := range clients {
		for j, locator := range locators[i] {
			f.wantContent(locator, []byte(numbered(i*each+j)))
		}
	}
	if got := len(f.walked()); got != clients*each {
		f.Errorf("walked %d, want %d", got, clients*each)
	}
}

func sizes(f *blobFixture) {
	for _, size := range []int{0, 1, 300_000, 12 << 20} {
		for _, announced := range []int64{-1, int64(size)} {
			f.wantContent(f.commit(f.write(pattern(size), announced)), pattern(size))
		}
	}
}

func endsOnce(f *blobFixture) {
	ctx := context.Background()
	for _, size := range []int64{-1, 7} {
		first, second := f.write([]byte("content"), size), f.write([]byte("content"), size)
		locator := f.commit(first)
		f.noError(second.Abort())
		for _, w := range []store.BlobWriter{first, second} {
			if n, err := w.Write([]byte("more")); err == nil || n != 0 {
				f.Errorf("%d bytes are written after the end", n)
			}
			if _, err := w.Commit(ctx); err == nil {
				f.Error("a writer that ended commits")
			}
			f.noError(w.Abort())
		}
		f.wantContent(locator, []byte("content"))
		f.wantWalked(1)
		f.noError(f.Delete(ctx, locator))
	}
}

func closedUnderWay(f *blobFixture) {
	ctx := context.Background()
	contents := [][]byte{pattern(500_000), pattern(5_000)}
	locators := []store.Locator{f.put(contents[0]), f.put(contents[1])}
	var readers []io.ReadSeekCloser
	for i, locator := range locators {
		reader, err := f.Open(ctx, locator, int64(len(contents[i])))
		f.noError(err)
		readers = append(readers, reader)
	}
	writers := []store.BlobWriter{f.write([]byte("half"), 8), f.write([]byte("half"), -1)}
	f.noError(f.Close())

	for _, w := range writers {
		_, err := w.Write([]byte("rest"))
		f.wantError(err, store.ErrUnavailable)
		_, err = w.Commit(ctx)
		f.wantError(err, store.ErrUnavailable)
	}
	for i, reader := range readers {
		got, err := io.ReadAll(reader)
		f.noError(err)
		f.noError(reader.Close())
		if !bytes.Equal(got, contents[i]) {
			f.Error("the reader lost the bytes")
		}
	}
	f.mustOpen()
	f.wantWalked(2)
	for i, locator := range locators {
		f.wantContent(locator, contents[i])
	}
}

func walkTimes(f *blobFixture) {
	locator := f.put([]byte("content"))
	written := f.writtenAt(locator)
	if written.IsZero() {
		f.Error("written at no time")
	}
	f.reopen()
	if again := f.writtenAt(locator); !again.Equal(written) {
		f.Errorf("written at %v, after reopening at %v", written, again)
	}
}

func (f *blobFixture) writtenAt(want store.Locator) (at time.Time) {
	f.Helper()
	f.noError(f.Walk(context.Background(), func(locator store.Locator, _ int64, modified time.Time) error {
		if locator == want {
			at = modified
		}
		return nil
	}))
	return at
}

func blobCondition(f *blobFixture) {
	wantSound(f, f.Condition())
	f.put([]byte("content"))
	wantSound(f, f.Condition())
	f.noError(f.Close())
	wantClosed(f, f.Condition())
	f.mustOpen()
	wantSound(f, f.Condition())
}

func behind(f *blobFixture) {
	ctx := context.Background()
	at := func(sequence uint64, chain byte) store.Position {
		return store.Position{Sequence: sequence, Chain: store.Digest{chain}}
	}
	for _, step := range []struct {
		name  string
		at    store.Position
		lower bool
		want  error
	}{
		{"nothing seen", store.Position{}, false, nil},
		{"the first", at(5, 1), false, nil},
		{"the same again", at(5, 1), false, nil},
		{"another history", at(5, 2), false, store.ErrBehind},
		{"further on", at(9, 3), false, nil},
		{"older", at(8, 1), false, store.ErrBehind},
		{"older, which changed nothing", at(8, 1), false, store.ErrBehind},
		{"new metadata", store.Position{}, false, store.ErrBehind},
		{"older, and right", at(8, 1), true, nil},
		{"that one again", at(8, 1), false, nil},
	} {
		if err := f.KeepPosition(ctx, step.at, step.lower); !errors.Is(err, step.want) {
			f.Errorf("%s: error is %v, want %v", step.name, err, step.want)
		}
		f.reopen()
	}
	f.noError(f.Close())
	f.wantError(f.KeepPosition(ctx, at(20, 1), false), store.ErrUnavailable)
	f.mustOpen()
	if got := f.walked(); len(got) > 0 {
		f.Errorf("walked %v", got)
	}
}
