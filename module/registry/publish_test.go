package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// fakeStores are both stores of a registry. They fail where told and remember how
// an upload ended.
type fakeStores struct {
	store.MetadataStore
	store.BlobStore
	admitErr, createErr, writeErr, commitErr, publishErr, positionErr error

	written             bytes.Buffer
	created, aborted    int
	removed             []store.Locator
	published           []store.Publication
	publishContextEnded bool
	condemnedByPublish  bool
	condemnedAsked      chan struct{}
}

func (f *fakeStores) Condition() store.Condition { return store.Condition{Readable: true} }

func (f *fakeStores) Sessions(context.Context) ([]store.Session, error) { return nil, nil }

func (f *fakeStores) Admit(context.Context) error { return f.admitErr }

func (f *fakeStores) DraftsBefore(context.Context, time.Time, int) ([]store.VersionRef, error) {
	return nil, nil
}

func (f *fakeStores) Clock() time.Time { return fakeTime }

var fakeTime = time.Unix(1_000_000_000, 0)

func (f *fakeStores) Publish(ctx context.Context, p store.Publication) (store.File, bool, error) {
	f.publishContextEnded = ctx.Err() != nil
	f.published = append(f.published, p)
	return store.File{Ref: p.Ref, Blob: p.Blob}, f.condemnedByPublish, f.publishErr
}

func (f *fakeStores) FindBlob(context.Context, store.Digest) (store.Blob, error) {
	return store.Blob{}, store.ErrBlobNotFound
}

func (f *fakeStores) Stat(context.Context, store.Locator) (int64, error) {
	return 0, store.ErrBlobNotFound
}

func (f *fakeStores) Delete(_ context.Context, locator store.Locator) error {
	f.removed = append(f.removed, locator)
	return nil
}

func (f *fakeStores) Create(context.Context, int64) (store.BlobWriter, error) {
	f.created++
	return fakeWriter{f}, f.createErr
}

func (f *fakeStores) Reclaim(context.Context, int) ([]store.Locator, error) {
	if f.condemnedAsked != nil {
		f.condemnedAsked <- struct{}{}
	}
	return nil, nil
}

func (f *fakeStores) Walk(context.Context, func(store.Locator, int64, time.Time) error) error {
	return nil
}

func (f *fakeStores) Blobs(context.Context, store.Digest, int) ([]store.Blob, error) { return nil, nil }

func (f *fakeStores) LastScrub(context.Context) (store.Scrub, error) { return store.Scrub{}, nil }

func (f *fakeStores) KeepPosition(context.Context, store.Position, bool) error { return f.positionErr }

func (f *fakeStores) PurgeQuarantine(context.Context, time.Time, int) (int, error) { return 0, nil }

func (f *fakeStores) Close() error { return nil }

type fakeWriter struct{ f *fakeStores }

func (w fakeWriter) Write(p []byte) (int, error) {
	if w.f.writeErr != nil {
		return 0, w.f.writeErr
	}
	return w.f.written.Write(p)
}

func (w fakeWriter) Commit(context.Context) (store.Locator, error) { return "own", w.f.commitErr }

func (w fakeWriter) Abort() error { w.f.aborted++; return nil }

var errDisk = errors.New("disk")

func TestHowAPublishEnds(t *testing.T) {
	content := []byte("content")
	sum := store.Digest(sha256.Sum256(content))
	var bodyError *store.BodyError
	for _, test := range []struct {
		name      string
		stores    fakeStores
		body      io.Reader
		want      error
		isBody    bool
		aborted   int
		publishes bool
		removes   bool
	}{
		{name: "well", publishes: true},
		{name: "there is no room for a record", stores: fakeStores{admitErr: store.ErrNoSpace}, want: store.ErrNoSpace},
		{name: "blob cannot be made", stores: fakeStores{createErr: store.ErrNoSpace}, want: store.ErrNoSpace},
		{name: "write fails", stores: fakeStores{writeErr: errDisk}, want: errDisk, aborted: 1},
		{name: "commit fails", stores: fakeStores{commitErr: errDisk}, want: errDisk, aborted: 1},
		{name: "body fails", body: iotest.ErrReader(errDisk), want: errDisk, isBody: true, aborted: 1},
		{name: "file is there", stores: fakeStores{publishErr: store.ErrExists}, want: store.ErrExists, publishes: true},
		{name: "record fails", stores: fakeStores{publishErr: errDisk}, want: errDisk, publishes: true},
		{name: "record did not happen", stores: fakeStores{publishErr: store.ErrUnavailable}, want: store.ErrUnavailable, publishes: true, removes: true},
		{name: "no room for the record", stores: fakeStores{publishErr: store.ErrNoSpace}, want: store.ErrNoSpace, publishes: true, removes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := test.stores
			r := New(&f, &f, Options{})
			defer r.Close()
			body := test.body
			if body == nil {
				body = bytes.NewReader(content)
			}
			_, err := r.Publish(t.Context(), store.Ref{}, "alice", Content{Body: body, Size: 7}, Limits{})
			if !errors.Is(err, test.want) || errors.As(err, &bodyError) != test.isBody {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if f.aborted != test.aborted {
				t.Errorf("aborted %d times, want %d", f.aborted, test.aborted)
			}
			if (len(f.published) == 1) != test.publishes {
				t.Fatalf("published %d times", len(f.published))
			}
			if (len(f.removed) == 1) != test.removes {
				t.Errorf("the bytes removed are %v, want so: %v", f.removed, test.removes)
			}
			want := store.Publication{Blob: store.Blob{Locator: "own", Digest: sum, Size: 7}, Stored: fakeTime, Creator: "alice"}
			if !test.publishes {
				return
			}
			got := f.published[0]
			got.Created = time.Time{}
			if got != want {
				t.Errorf("published %+v, want %+v", got, want)
			}
		})
	}
}

func TestAPublishWithDurableBytesIsFinished(t *testing.T) {
	f := &fakeStores{}
	r := New(f, f, Options{})
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	gone := io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }))
	if _, err := r.Publish(ctx, store.Ref{}, "alice", Content{Body: gone, Size: -1}, Limits{}); err != nil {
		t.Fatal(err)
	}
	if f.publishContextEnded {
		t.Error("the record depends on the client")
	}
}

func TestReaperIsWoken(t *testing.T) {
	f := &fakeStores{publishErr: store.ErrExists, condemnedByPublish: true, condemnedAsked: make(chan struct{})}
	r := New(f, f, Options{})
	<-f.condemnedAsked // at start
	done := make(chan error, 1)
	go func() {
		_, err := r.Publish(context.Background(), store.Ref{}, "alice", Content{Body: strings.NewReader("x"), Size: 1}, Limits{})
		done <- err
	}()
	<-f.condemnedAsked // because of the loser's bytes
	if err := <-done; !errors.Is(err, store.ErrExists) {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestAPanicLeavesNothing: the body's panic goes on, and the upload is dropped.
func TestAPanicLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	f := new(fakeStores)
	r := New(f, f, Options{Idle: true})
	body := readerFunc(func([]byte) (int, error) { panic(errDisk) })
	func() {
		defer func() {
			if recover() != errDisk {
				t.Error("the panic is lost")
			}
		}()
		_, _ = r.Publish(context.Background(), store.Ref{}, "alice", Content{Body: body, Size: 4 << 20}, Limits{UserUploads: 1})
	}()
	if f.aborted != 1 || len(f.published) > 0 || r.slots.Taken() != 0 {
		t.Errorf("aborted %d, published %d times, %d slots taken", f.aborted, len(f.published), r.slots.Taken())
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

// readerFunc is a body that a function reads.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (*fakeStores) Damaged(context.Context, int) (int64, []store.Digest, error) { return 0, nil, nil }
