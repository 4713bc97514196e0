package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func (f *blobFixture) mustOpen() {
	f.Helper()
	blobs, err := f.open()
	f.noError(err)
	f.BlobStore = blobs
}

func (f *blobFixture) reopen() {
	f.Helper()
	f.noError(f.BlobStore.Close())
	f.mustOpen()
}

func (f *blobFixture) noError(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *blobFixture) wantError(got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Fatalf("error is %v, want %v", got, want)
	}
}

// write writes a blob in pieces, and returns its writer not ended.
func (f *blobFixture) write(content []byte, size int64) store.BlobWriter {
	f.Helper()
	w, err := f.Create(context.Background(), size)
	f.noError(err)
	f.fill(w, content)
	return w
}

func (f *blobFixture) fill(w store.BlobWriter, content []byte) {
	f.Helper()
	for len(content) > 0 {
		n := min(len(content), 100_000)
		written, err := w.Write(content[:n])
		f.noError(err)
		if written != n {
			f.Fatalf("wrote %d of %d", written, n)
		}
		content = content[n:]
	}
}

// commit makes a blob visible.
func (f *blobFixture) commit(w store.BlobWriter) store.Locator {
	f.Helper()
	locator, err := w.Commit(context.Background())
	f.noError(err)
	return locator
}

func (f *blobFixture) put(content []byte) store.Locator {
	f.Helper()
	return f.commit(f.write(content, int64(len(content))))
}

// putAt puts a blob where a restore has it.
func (f *blobFixture) putAt(locator store.Locator, content []byte) {
	f.Helper()
	w, err := f.CreateAt(context.Background(), locator, int64(len(content)))
	f.noError(err)
	f.fill(w, content)
	if got := f.commit(w); got != locator {
		f.Fatalf("the blob is at %s, want %s", got, locator)
	}
}

func (f *blobFixture) wantContent(locator store.Locator, want []byte) {
	f.Helper()
	reader, err := f.Open(context.Background(), locator, int64(len(want)))
	f.noError(err)
	got, err := io.ReadAll(reader)
	f.noError(err)
	f.noError(reader.Close())
	if !bytes.Equal(got, want) {
		f.Fatalf("%d bytes differ from the %d written", len(got), len(want))
	}
}

func (f *blobFixture) wantNothing(locator store.Locator) {
	f.Helper()
	_, err := f.Open(context.Background(), locator, 1)
	f.wantError(err, store.ErrBlobNotFound)
	_, err = f.Stat(context.Background(), locator)
	f.wantError(err, store.ErrBlobNotFound)
	if _, seen := f.walked()[locator]; seen {
		f.Fatalf("%s is walked", locator)
	}
}

func (f *blobFixture) walked() map[store.Locator]int64 {
	f.Helper()
	seen := make(map[store.Locator]int64)
	f.noError(f.Walk(context.Background(), func(locator store.Locator, size int64, _ time.Time) error {
		if _, twice := seen[locator]; twice {
			f.Errorf("%s is walked twice", locator)
		}
		seen[locator] = size
		return nil
	}))
	return seen
}

func pattern(n int) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i*7 + i>>8)
	}
	return content
}
