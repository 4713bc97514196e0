package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// fakeStores are both stores of a registry. They fail where told and remember how
// an upload ended.
type fakeStores struct {
	MetadataStore
	BlobStore
	admitErr, createErr, writeErr, commitErr, publishErr, positionErr error

	written             bytes.Buffer
	created, aborted    int
	removed             []Locator
	published           []Publication
	publishContextEnded bool
	condemnedByPublish  bool
	condemnedAsked      chan struct{}
}

func (f *fakeStores) Condition() Condition { return Condition{Readable: true} }

func (f *fakeStores) Admit(context.Context) error { return f.admitErr }

func (f *fakeStores) Clock() time.Time { return fakeTime }

var fakeTime = time.Unix(1_000_000_000, 0)

func (f *fakeStores) Publish(ctx context.Context, p Publication) (File, bool, error) {
	f.publishContextEnded = ctx.Err() != nil
	f.published = append(f.published, p)
	return File{Ref: p.Ref, Blob: p.Blob}, f.condemnedByPublish, f.publishErr
}

func (f *fakeStores) FindBlob(context.Context, Digest) (Blob, error) { return Blob{}, ErrBlobNotFound }

func (f *fakeStores) Stat(context.Context, Locator) (int64, error) { return 0, ErrBlobNotFound }

func (f *fakeStores) Delete(_ context.Context, locator Locator) error {
	f.removed = append(f.removed, locator)
	return nil
}

func (f *fakeStores) Create(context.Context, int64) (BlobWriter, error) {
	f.created++
	return fakeWriter{f}, f.createErr
}

func (f *fakeStores) Condemned(context.Context, int) ([]Locator, error) {
	if f.condemnedAsked != nil {
		f.condemnedAsked <- struct{}{}
	}
	return nil, nil
}

func (f *fakeStores) Walk(context.Context, func(Locator, int64, time.Time) error) error { return nil }

func (f *fakeStores) Blobs(context.Context, Digest, int) ([]Blob, error) { return nil, nil }

func (f *fakeStores) LastScrub(context.Context) (Scrub, error) { return Scrub{}, nil }

func (f *fakeStores) KeepPosition(context.Context, Position, bool) error { return f.positionErr }

func (f *fakeStores) PurgeQuarantine(context.Context, time.Time, int) (int, error) { return 0, nil }

func (f *fakeStores) Close() error { return nil }

type fakeWriter struct{ f *fakeStores }

func (w fakeWriter) Write(p []byte) (int, error) {
	if w.f.writeErr != nil {
		return 0, w.f.writeErr
	}
	return w.f.written.Write(p)
}

func (w fakeWriter) Commit(context.Context) (Locator, error) { return "own", w.f.commitErr }

func (w fakeWriter) Abort() error { w.f.aborted++; return nil }

var errDisk = errors.New("disk")

func TestHowAPublishEnds(t *testing.T) {
	content := []byte("content")
	sum := Digest(sha256.Sum256(content))
	var bodyError *BodyError
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
		{name: "there is no room for a record", stores: fakeStores{admitErr: ErrNoSpace}, want: ErrNoSpace},
		{name: "blob cannot be made", stores: fakeStores{createErr: ErrNoSpace}, want: ErrNoSpace},
		{name: "write fails", stores: fakeStores{writeErr: errDisk}, want: errDisk, aborted: 1},
		{name: "commit fails", stores: fakeStores{commitErr: errDisk}, want: errDisk, aborted: 1},
		{name: "body fails", body: iotest.ErrReader(errDisk), want: errDisk, isBody: true, aborted: 1},
		{name: "file is there", stores: fakeStores{publishErr: ErrExists}, want: ErrExists, publishes: true},
		{name: "record fails", stores: fakeStores{publishErr: errDisk}, want: errDisk, publishes: true},
		{name: "record did not happen", stores: fakeStores{publishErr: ErrUnavailable}, want: ErrUnavailable, publishes: true, removes: true},
		{name: "no room for the record", stores: fakeStores{publishErr: ErrNoSpace}, want: ErrNoSpace, publishes: true, removes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := test.stores
			r := New(&f, &f, Options{})
			defer r.Close()
			body := test.body
			if body == nil {
				body = bytes.NewReader(content)
			}
			_, err := r.Publish(t.Context(), Ref{}, "alice", Content{Body: body, Size: 7}, Limits{})
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
			want := Publication{Blob: Blob{Locator: "own", Digest: sum, Size: 7}, Stored: fakeTime, Creator: "alice"}
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
	if _, err := r.Publish(ctx, Ref{}, "alice", Content{Body: gone, Size: -1}, Limits{}); err != nil {
		t.Fatal(err)
	}
	if f.publishContextEnded {
		t.Error("the record depends on the client")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBuffersKeepTheirBudget(t *testing.T) {
	p := newBufferPool(3 * largeBuffer)
	var held []func()
	for i := range 5 {
		buffer, release := p.get(-1)
		held = append(held, release)
		if want := largeBuffer; i < 3 && len(buffer) != want {
			t.Errorf("buffer %d has %d bytes", i, len(buffer))
		} else if i >= 3 && len(buffer) != smallBuffer {
			t.Errorf("over the budget, buffer %d has %d bytes", i, len(buffer))
		}
	}
	for _, release := range held {
		release()
	}
	if buffer, release := p.get(smallBuffer); len(buffer) != smallBuffer || p.used.Load() != 0 {
		t.Errorf("a small body has %d bytes, the budget %d", len(buffer), p.used.Load())
	} else {
		release()
	}
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			for range 200 {
				buffer, release := p.get(-1)
				buffer[0]++
				release()
			}
		})
	}
	clients.Wait()
	if p.used.Load() != 0 {
		t.Errorf("%d bytes are not given back", p.used.Load())
	}
}

// movingBlobs has the bytes of a file elsewhere each time it is asked.
type movingBlobs struct {
	fakeStores
	locators []Locator // what each look-up finds
	opened   []Locator
	there    Locator
}

func (m *movingBlobs) Lookup(context.Context, Ref) (File, error) {
	if len(m.locators) == 0 {
		return File{}, ErrPackageNotFound
	}
	file := File{Blob: Blob{Locator: m.locators[0]}}
	if len(m.locators) > 1 {
		m.locators = m.locators[1:]
	}
	return file, nil
}

func (m *movingBlobs) Open(_ context.Context, locator Locator, _ int64) (io.ReadSeekCloser, error) {
	m.opened = append(m.opened, locator)
	if locator == m.there {
		return nil, nil
	}
	return nil, ErrBlobNotFound
}

func TestOpenFollowsBytesThatMove(t *testing.T) {
	for _, test := range []struct {
		name     string
		locators []Locator
		want     error
		opened   int
	}{
		{"in place", []Locator{"c"}, nil, 1},
		{"moved once", []Locator{"a", "c"}, nil, 2},
		{"moved twice", []Locator{"a", "b", "c"}, nil, 3},
		{"lost", []Locator{"a"}, ErrDamaged, 1},
		{"moving for ever", []Locator{"a", "b", "a", "b", "a", "b", "a", "b", "a", "c"}, ErrUnavailable, lookupAttempts},
		{"deleted", nil, ErrPackageNotFound, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &movingBlobs{locators: test.locators, there: "c"}
			r := New(m, m, Options{})
			defer r.Close()
			if _, _, err := r.Open(t.Context(), Ref{}); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if len(m.opened) != test.opened {
				t.Errorf("opened %v", m.opened)
			}
		})
	}
}

func TestReaperIsWoken(t *testing.T) {
	f := &fakeStores{publishErr: ErrExists, condemnedByPublish: true, condemnedAsked: make(chan struct{})}
	r := New(f, f, Options{})
	<-f.condemnedAsked // at start
	done := make(chan error, 1)
	go func() {
		_, err := r.Publish(context.Background(), Ref{}, "alice", Content{Body: strings.NewReader("x"), Size: 1}, Limits{})
		done <- err
	}()
	<-f.condemnedAsked // because of the loser's bytes
	if err := <-done; !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
