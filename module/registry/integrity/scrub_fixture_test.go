package integrity_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// brittleBlobs are a blob store whose blobs break as told, and which remembers what
// was read when.
type brittleBlobs struct {
	store.BlobStore

	mu          sync.Mutex
	flipped     map[store.Locator]int // the byte whose lowest bit is another
	unreadable  map[store.Locator]error
	stubborn    error         // why nothing can be put aside
	aside       time.Duration // for how long a blob is put aside
	opened      []store.Locator
	quarantined []store.Locator
	reads       []read
	onRead      func(store.Locator)
}

// set changes what breaks.
func (b *brittleBlobs) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// seen returns which blobs were opened and put aside so far.
func (b *brittleBlobs) seen() (opened, quarantined []store.Locator) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.opened), slices.Clone(b.quarantined)
}

// repair makes all unreadable blobs readable.
func (b *brittleBlobs) repair() { b.set(func() { clear(b.unreadable) }) }

// read is a piece that was read.
type read struct {
	at    time.Time
	bytes int
}

func (b *brittleBlobs) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	content, err := b.BlobStore.Open(ctx, locator, size)
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened = append(b.opened, locator)
	all = bytes.Clone(all)
	if at, ok := b.flipped[locator]; ok {
		all[at] ^= 1
	}
	return &brittleReader{Reader: bytes.NewReader(all), blobs: b, locator: locator, err: b.unreadable[locator]}, nil
}

func (b *brittleBlobs) Quarantine(ctx context.Context, locator store.Locator) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stubborn != nil {
		return b.stubborn
	}
	select {
	case <-time.After(b.aside):
	case <-ctx.Done():
		return ctx.Err()
	}
	b.quarantined = append(b.quarantined, locator)
	return b.BlobStore.Quarantine(ctx, locator)
}

// brittleReader gives out pieces, and its error in place of the end.
type brittleReader struct {
	*bytes.Reader
	blobs   *brittleBlobs
	locator store.Locator
	err     error
}

func (r *brittleReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.blobs.mu.Lock()
	r.blobs.reads = append(r.blobs.reads, read{time.Now(), n})
	onRead := r.blobs.onRead
	r.blobs.mu.Unlock()
	if onRead != nil {
		onRead(r.locator)
	}
	if r.err != nil && r.Len() == 0 {
		return 0, r.err
	}
	return n, err
}

func (r *brittleReader) Close() error { return nil }

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// fixture is a registry over stores in memory. It begins without a scrub.
type fixture struct {
	*testing.T
	*registry.Registry
	metadataPlace *memory.Metadata
	blobPlace     *memory.Blobs
	metadata      store.MetadataStore
	blobs         *brittleBlobs
	log           *lines
	clock         func() time.Time
}

const off = -1

// inBubble runs a test in which time passes when everybody waits.
func inBubble(t *testing.T, test func(f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, metadataPlace: memory.NewMetadata(), blobPlace: memory.NewBlobs(), log: new(lines), clock: time.Now}
		f.blobs = &brittleBlobs{flipped: make(map[store.Locator]int), unreadable: make(map[store.Locator]error)}
		f.open(off)
		defer func() { f.Check(f.Registry.Close()) }()
		test(f)
	})
}

func (f *fixture) open(rate int64) {
	f.Helper()
	metadata, err := f.metadataPlace.Open()
	f.Check(err)
	f.blobs.BlobStore, err = f.blobPlace.Open()
	f.Check(err)
	f.openWith(metadata, rate)
}

func (f *fixture) openWith(metadata store.MetadataStore, rate int64) {
	f.metadata = metadata
	log := slog.New(slog.NewTextHandler(f.log, nil))
	f.Registry = registry.New(metadata, f.blobs, registry.Options{Log: log, Now: func() time.Time { return f.clock() }, ScrubRate: rate})
}

// restart is what a restart of the process does.
func (f *fixture) restart(rate int64) {
	f.Helper()
	f.Check(f.Registry.Close())
	f.open(rate)
}

func (f *fixture) Check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func refOf(file string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: "1"}, File: file}
}

func (f *fixture) publish(file string, content []byte) store.File {
	f.Helper()
	published, err := f.Publish(f.Context(), refOf(file), "alice", registry.Content{Body: bytes.NewReader(content), Size: int64(len(content))}, registry.Limits{})
	f.Check(err)
	return published
}

// publishMany publishes files of a size, each with content of its own.
func (f *fixture) publishMany(count, size int) (files []store.File) {
	f.Helper()
	for i := range count {
		files = append(files, f.publish(fmt.Sprintf("f%05d", i), contentOf(i, size)))
	}
	return files
}

func contentOf(seed, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%07d.", seed), size/8+1)[:size]
}

// cut replaces a blob's bytes by fewer.
func (f *fixture) cut(locator store.Locator, size int) {
	f.Helper()
	f.Check(f.blobs.Delete(f.Context(), locator))
	w, err := f.blobs.CreateAt(f.Context(), locator, int64(size))
	f.Check(err)
	_, err = w.Write(make([]byte, size))
	f.Check(err)
	_, err = w.Commit(f.Context())
	f.Check(err)
}

// pass waits for some time and until nobody works.
func (f *fixture) pass(d time.Duration) {
	time.Sleep(d) // the bubble's time: at once, when all are waiting
	synctest.Wait()
}

func (f *fixture) wantDamage(want ...store.Digest) {
	f.Helper()
	got := f.Health().Damage
	if got.Count != int64(len(want)) || len(got.Digests) != len(want) {
		f.Fatalf("%d blobs are damaged, %v; want %v", got.Count, got.Digests, want)
	}
	for _, digest := range want {
		found := false
		for _, known := range got.Digests {
			found = found || known == digest
		}
		if !found {
			f.Errorf("%s is not among the damaged %v", digest, got.Digests)
		}
	}
}

func (f *fixture) read(file string) ([]byte, error) {
	_, content, err := f.Open(f.Context(), refOf(file))
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}
