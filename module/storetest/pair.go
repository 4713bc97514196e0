package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Pair runs what a registry promises over a pair of stores.
func Pair(t *testing.T, metadata MetadataPlace, blobs BlobPlace) {
	for name, test := range map[string]func(*pairFixture){
		"what is published is read back, after reopening too":      pairReadBack,
		"of 8 racing publishes one wins, and its bytes are served": pairRace,
		"refused uploads leave nothing":                            pairRefused,
		"readers under deletes and publishes see whole files":      pairReaders,
		"publishing lost bytes again heals every name":             pairHeals,
		"a publish over rotten bytes is good, and heals them":      pairRotten,
		"bytes that a crash left are swept":                        pairCrashed,
		"after everything is deleted nothing is left":              pairNothingLeft,
		"the reaper follows a delete by itself":                    pairReaps,
		"verify finds damage, and publishing heals it":             pairVerifies,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(newPairFixture(t, metadata, blobs)) })
			goleak.VerifyNone(t, before)
		})
	}
}

type pairFixture struct {
	testing.TB
	*registry.Registry
	metadata     store.MetadataStore
	blobs        store.BlobStore
	openMetadata func() (store.MetadataStore, error)
	openBlobs    func() (store.BlobStore, error)
	clock        func() time.Time
	later        atomic.Bool // the clock shows when the bytes of now are old
	idle         bool        // nothing is done in the background
	node         string
}

func newPairFixture(t testing.TB, metadata MetadataPlace, blobs BlobPlace) *pairFixture {
	f := &pairFixture{TB: t, openMetadata: metadata(t), openBlobs: blobs(t), clock: func() time.Time { return epoch }}
	f.mustOpen()
	t.Cleanup(func() { f.noError(f.Registry.Close()) })
	return f
}

func (f *pairFixture) mustOpen() {
	f.Helper()
	var err error
	f.metadata, err = f.openMetadata()
	f.noError(err)
	f.blobs, err = f.openBlobs()
	f.noError(err)
	f.Registry = registry.New(f.metadata, f.blobs, registry.Options{Now: f.now, Idle: f.idle, Node: f.node})
}

func (f *pairFixture) now() time.Time {
	if f.later.Load() {
		return time.Now().Add(store.SweepAfter + time.Minute)
	}
	return f.clock()
}

func (f *pairFixture) reopen() {
	f.Helper()
	f.noError(f.Registry.Close())
	f.mustOpen()
}

func (f *pairFixture) noError(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *pairFixture) wantError(got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Fatalf("error is %v, want %v", got, want)
	}
}

func (f *pairFixture) publish(r store.Ref, content string) error {
	_, err := f.Publish(context.Background(), r, "alice", registry.Content{
		Body: strings.NewReader(content), Size: int64(len(content)),
	}, registry.Limits{})
	return err
}

func (f *pairFixture) read(r store.Ref) (string, error) {
	_, content, err := f.readFile(r)
	return content, err
}

func (f *pairFixture) readFile(r store.Ref) (store.File, string, error) {
	file, reader, err := f.Open(context.Background(), r)
	if err != nil {
		return file, "", err
	}
	defer reader.Close()
	content, err := io.ReadAll(reader)
	if err == nil && digestOf(string(content)) != file.Digest {
		err = errors.New("bytes do not have the file's digest")
	}
	return file, string(content), err
}

func (f *pairFixture) wantContent(r store.Ref, want string) {
	f.Helper()
	got, err := f.read(r)
	f.noError(err)
	if got != want {
		f.Fatalf("content of %d bytes, want %d", len(got), len(want))
	}
}

// reapAndSweep lets the clean-up do its work now, and returns how many blobs are left.
func (f *pairFixture) reapAndSweep() int {
	f.Helper()
	_, err := f.Reap(context.Background())
	f.noError(err)
	f.sweepLater(2)
	return f.blobCount()
}

// sweepLater sweeps so many times, when all bytes that are there are old.
func (f *pairFixture) sweepLater(times int) {
	f.Helper()
	f.later.Store(true)
	defer f.later.Store(false)
	for range times {
		_, err := f.Sweep(context.Background())
		f.noError(err)
	}
}

func (f *pairFixture) blobCount() (count int) {
	f.Helper()
	f.noError(f.blobs.Walk(context.Background(), func(store.Locator, int64, time.Time) error {
		count++
		return nil
	}))
	return count
}

func pairReadBack(f *pairFixture) {
	large := string(pattern(900_001))
	contents := map[store.Ref]string{
		ref("a", "p", "1", "empty"): "",
		ref("a", "p", "1", "small"): "hello",
		ref("a", "p", "2", "large"): large,
		ref("b", "p", "1", "large"): large,
	}
	for r, content := range contents {
		f.noError(f.publish(r, content))
	}
	for range 2 {
		for r, content := range contents {
			f.wantContent(r, content)
		}
		if count := f.reapAndSweep(); count != 3 {
			f.Errorf("%d blobs for 3 contents", count)
		}
		f.reopen()
	}
	f.wantError(f.publish(ref("A", "P", "1", "SMALL"), "hello"), store.ErrExists)
	_, err := f.read(ref("a", "p", "1", "none"))
	f.wantError(err, store.ErrFileNotFound)
}

func pairRace(f *pairFixture) {
	const clients = 8
	errs := make([]error, clients)
	inParallel(clients, func(i int) { errs[i] = f.publish(ref("a", "p", "1", "f"), strings.Repeat(numbered(i), 10_000)) })
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			f.wantContent(ref("a", "p", "1", "f"), strings.Repeat(numbered(i), 10_000))
			continue
		}
		f.wantError(err, store.ErrExists)
	}
	if winners != 1 {
		f.Errorf("%d winners", winners)
	}
	if count := f.reapAndSweep(); count != 1 {
		f.Errorf("%d blobs are left", count)
	}
}

func pairRefused(f *pairFixture) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	cut := errors.New("cut")
	wrong := digestOf("other")
	body := func(n int) io.Reader { return bytes.NewReader(pattern(n)) }
	for name, refused := range map[string]struct {
		ctx     context.Context
		content registry.Content
		want    error
	}{
		"reader fails":     {context.Background(), registry.Content{Body: io.MultiReader(body(400_000), iotest.ErrReader(cut)), Size: -1}, cut},
		"body is cut":      {context.Background(), registry.Content{Body: io.MultiReader(body(400_000), iotest.ErrReader(io.ErrUnexpectedEOF)), Size: 400_001}, io.ErrUnexpectedEOF},
		"body is short":    {context.Background(), registry.Content{Body: body(9), Size: 10}, io.ErrUnexpectedEOF},
		"digest is wrong":  {context.Background(), registry.Content{Body: body(9), Size: 9, SHA256: &wrong}, store.ErrDigest},
		"client is gone":   {gone, registry.Content{Body: body(9), Size: 9}, context.Canceled},
		"fails at once":    {context.Background(), registry.Content{Body: iotest.ErrReader(cut), Size: -1}, cut},
		"fails with bytes": {context.Background(), registry.Content{Body: iotest.DataErrReader(io.MultiReader(body(9), iotest.ErrReader(cut))), Size: 20}, cut},
	} {
		_, err := f.Publish(refused.ctx, ref("a", "p", "1", "f"), "alice", refused.content, registry.Limits{})
		if !errors.Is(err, refused.want) {
			f.Errorf("%s: error is %v, want %v", name, err, refused.want)
		}
		if _, err := f.read(ref("a", "p", "1", "f")); !errors.Is(err, store.ErrPackageNotFound) {
			f.Errorf("%s: the file can be read: %v", name, err)
		}
	}
	if count := f.reapAndSweep(); count != 0 {
		f.Errorf("%d blobs are left", count)
	}
}

func pairReaders(f *pairFixture) {
	const rounds = 60
	target := ref("a", "p", "1", "f")
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, err := f.read(target)
				if err != nil && !errors.Is(err, store.ErrPackageNotFound) {
					f.Errorf("reading: %v", err)
					return
				}
			}
		})
	}
	for i := range rounds {
		f.noError(f.publish(target, strings.Repeat(numbered(i%3), 2_000)))
		if i%2 == 0 {
			f.noError(f.DeleteFile(context.Background(), target, store.Act{User: "alice"}))
		} else {
			f.noError(f.DeleteVersion(context.Background(), target.VersionRef, store.Act{User: "alice"}))
		}
	}
	close(done)
	readers.Wait()
}

func pairHeals(f *pairFixture) {
	first, second := ref("a", "p", "1", "f"), ref("b", "q", "2", "g")
	f.noError(f.publish(first, "precious"))
	file, err := f.Lookup(context.Background(), first)
	f.noError(err)
	f.noError(f.blobs.Delete(context.Background(), file.Locator)) // a disk loses it
	_, err = f.read(first)
	f.wantError(err, store.ErrDamaged)
	f.noError(f.publish(second, "precious"))
	f.wantContent(first, "precious")
	f.wantContent(second, "precious")
	if count := f.reapAndSweep(); count != 1 {
		f.Errorf("%d blobs are left", count)
	}
}

func pairCrashed(f *pairFixture) {
	f.idle = true // sweeps are counted: none comes by itself
	f.reopen()
	f.noError(f.publish(ref("a", "p", "1", "f"), "kept"))
	w, err := f.blobs.Create(context.Background(), 6)
	f.noError(err)
	_, err = w.Write([]byte("orphan"))
	f.noError(err)
	_, err = w.Commit(context.Background()) // its publish was cut
	f.noError(err)
	for range 2 {
		_, err := f.Sweep(context.Background())
		f.noError(err)
	}
	if count := f.blobCount(); count != 2 {
		f.Fatalf("%d blobs after sweeps at once, want 2: the upload may be in progress", count)
	}
	f.sweepLater(1)
	if count := f.blobCount(); count != 2 {
		f.Fatalf("%d blobs after one late sweep, want 2", count)
	}
	f.reopen()
	f.sweepLater(1)
	if count := f.blobCount(); count != 2 {
		f.Fatalf("%d blobs after one late sweep of each of two processes, want 2", count)
	}
	f.sweepLater(1)
	if count := f.blobCount(); count != 1 {
		f.Errorf("%d blobs are left, want 1", count)
	}
	f.wantContent(ref("a", "p", "1", "f"), "kept")
}

func pairNothingLeft(f *pairFixture) {
	inParallel(8, func(i int) {
		for j := range 10 {
			if err := f.publish(ref("a", "p", numbered(i%3), numbered(i*10+j)), numbered(j%4)); err != nil {
				f.Errorf("publishing: %v", err)
			}
		}
	})
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", numbered(0), numbered(0)), store.Act{User: "alice"}))
	for i := range 3 {
		f.noError(f.DeleteVersion(context.Background(), ref("a", "p", numbered(i), "").VersionRef, store.Act{User: "alice"}))
	}
	if count := f.reapAndSweep(); count != 0 {
		f.Errorf("%d blobs are left", count)
	}
}

// pairReaps waits for the background reaper, woken by the delete.
func pairReaps(f *pairFixture) {
	f.noError(f.publish(ref("a", "p", "1", "f"), "x"))
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "f"), store.Act{User: "alice"}))
	f.waitForBlobs(0)
}

// waitForBlobs waits until the background work has left so many.
func (f *pairFixture) waitForBlobs(want int) {
	f.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for f.blobCount() != want {
		select {
		case <-tick.C:
		case <-deadline.C:
			f.Fatalf("%d blobs are there, want %d", f.blobCount(), want)
		}
	}
}
