package storetest

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func endsOnce(f *blobFixture) {
	ctx := context.Background()
	committed, aborted := registry.NewLocator(1), registry.NewLocator(1)
	first, second := f.write(committed, []byte("content"), -1), f.write(aborted, []byte("content"), -1)
	f.noError(first.Commit(ctx))
	f.noError(second.Abort())
	for _, w := range []registry.BlobWriter{first, second} {
		if n, err := w.Write([]byte("more")); err == nil || n != 0 {
			f.Errorf("%d bytes are written after the end", n)
		}
		if err := w.Commit(ctx); err == nil {
			f.Error("a writer that ended commits")
		}
		f.noError(w.Abort())
	}
	f.wantContent(committed, []byte("content"))
	f.wantNothing(aborted)
}

func closedUnderWay(f *blobFixture) {
	ctx := context.Background()
	content := pattern(500_000)
	read, cut := registry.NewLocator(1), registry.NewLocator(1)
	f.put(read, content)
	reader, err := f.Open(ctx, read, int64(len(content)))
	f.noError(err)
	defer reader.Close()
	w := f.write(cut, []byte("half"), 8)
	f.noError(f.Close())

	_, err = w.Write([]byte("rest"))
	f.wantError(err, registry.ErrUnavailable)
	f.wantError(w.Commit(ctx), registry.ErrUnavailable)
	got, err := io.ReadAll(reader)
	f.noError(err)
	if !bytes.Equal(got, content) {
		f.Error("the reader lost the bytes")
	}
	f.mustOpen()
	f.wantNothing(cut)
	f.wantContent(read, content)
}

func walkTimes(f *blobFixture) {
	locator := registry.NewLocator(1)
	f.put(locator, []byte("content"))
	written := f.writtenAt(locator)
	if written.IsZero() {
		f.Error("written at no time")
	}
	f.reopen()
	if again := f.writtenAt(locator); !again.Equal(written) {
		f.Errorf("written at %v, after reopening at %v", written, again)
	}
}

func (f *blobFixture) writtenAt(want registry.Locator) (at time.Time) {
	f.Helper()
	f.noError(f.Walk(context.Background(), func(locator registry.Locator, _ int64, modified time.Time) error {
		if locator == want {
			at = modified
		}
		return nil
	}))
	return at
}

func blobCondition(f *blobFixture) {
	wantSound(f, f.Condition())
	f.put(registry.NewLocator(1), []byte("content"))
	wantSound(f, f.Condition())
	f.noError(f.Close())
	wantClosed(f, f.Condition())
	f.mustOpen()
	wantSound(f, f.Condition())
}
