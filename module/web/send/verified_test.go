package send

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// rottenBlobs have another last bit in every blob, or none, and count how often they
// are opened and the bytes read.
type rottenBlobs struct {
	store.BlobStore
	rotten, missing atomic.Bool
	opened, read    atomic.Int64
}

func (b *rottenBlobs) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	b.opened.Add(1)
	if b.missing.Load() {
		return nil, store.ErrBlobNotFound
	}
	content, err := b.BlobStore.Open(ctx, locator, size)
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	all = bytes.Clone(all)
	if b.rotten.Load() {
		all[len(all)-1] ^= 1
	}
	return &countedReader{bytes.NewReader(all), &b.read}, nil
}

type countedReader struct {
	*bytes.Reader
	read *atomic.Int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read.Add(int64(n))
	return n, err
}

// WriteTo hides the Reader's own, which would not be counted.
func (r *countedReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (r *countedReader) Close() error { return nil }

// rottenRegistry has a file of each size, named by it.
func rottenRegistry(t *testing.T, sizes ...int) (*registry.Registry, *rottenBlobs) {
	t.Helper()
	metadata, err := memory.NewMetadata().Open()
	if err != nil {
		t.Fatal(err)
	}
	blobs := new(rottenBlobs)
	if blobs.BlobStore, err = memory.NewBlobs().Open(); err != nil {
		t.Fatal(err)
	}
	reg := registry.New(metadata, blobs, registry.Options{ScrubRate: -1, Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }})
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, size := range sizes {
		publishSized(t, reg, strconv.Itoa(size), size)
	}
	return reg, blobs
}

func publishSized(t *testing.T, reg *registry.Registry, name string, size int) {
	t.Helper()
	content := registry.Content{Body: bytes.NewReader(rangeContent(size)), Size: int64(size)}
	if _, err := reg.Publish(t.Context(), refOf("o", "p", "1", name), "o", content, registry.Limits{}); err != nil {
		t.Fatal(err)
	}
}

// get downloads a file. Cut tells whether the answer was broken off.
func get(reg *registry.Registry, r *http.Request, size int, verify bool) (w *httptest.ResponseRecorder, cut bool, err error) {
	w = httptest.NewRecorder()
	file, err := reg.Find(r.Context(), refOf("o", "p", "1", strconv.Itoa(size)))
	if err != nil {
		return w, false, err
	}
	err = File(w, r, file, Manner{Verify: verify})
	if broken := new(visit.BrokenOff); errors.As(err, &broken) {
		return w, true, nil
	}
	return w, false, err
}

func refOf(owner, pkg, version, file string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: pkg, Version: version}, File: file}
}

const (
	smallFile = 200_000
	largeFile = 700_000 // three pieces
)

// TestVerifiedReads: for each way to ask, what a good file answers and reads, and
// what becomes of it when one bit is another.
// Seen to fail with ranges that are not verified.
func TestVerifiedReads(t *testing.T) {
	tag := EntityTag(sha256.Sum256(rangeContent(largeFile)))
	for _, test := range []struct {
		name, method string
		headers      map[string]string
		size, status int
		read         int64 // of a good file
		cut          bool  // after the answer began; else refused before
	}{
		{"all of a large file", "GET", nil, largeFile, 200, largeFile, true},
		{"all of a small file", "GET", nil, smallFile, 200, smallFile, false},
		{"a range", "GET", map[string]string{"Range": "bytes=5-9"}, largeFile, 206, largeFile + 5, false},
		{"a range to the end", "GET", map[string]string{"Range": "bytes=5-"}, largeFile, 206, 2*largeFile - 5, false},
		{"a range of a small file", "GET", map[string]string{"Range": "bytes=-1"}, smallFile, 206, smallFile + 1, false},
		{"two ranges", "GET", map[string]string{"Range": "bytes=0-0,2-2"}, largeFile, 206, largeFile + 2, false},
		{"a range if it is the file", "GET", map[string]string{"Range": "bytes=5-9", "If-Range": tag}, largeFile, 206, largeFile + 5, false},
		{"a range if it is another file", "GET", map[string]string{"Range": "bytes=5-9", "If-Range": `"other"`}, largeFile, 200, largeFile, true},
		{"ranges of more than the file", "GET", map[string]string{"Range": "bytes=0-,0-"}, largeFile, 200, largeFile, true},
		{"more ranges than are read", "GET", map[string]string{"Range": "bytes=0-1" + strings.Repeat(",2-3", 100)}, largeFile, 200, largeFile, true},
		{"a file if it is that", "GET", map[string]string{"If-Match": tag}, largeFile, 200, largeFile, true},
		{"a file that is known", "GET", map[string]string{"If-None-Match": tag}, largeFile, 304, 0, false},
		{"a range of a file that is known", "GET", map[string]string{"If-None-Match": tag, "Range": "bytes=0-1"}, largeFile, 304, 0, false},
		{"a file that is not newer", "GET", map[string]string{"If-Modified-Since": "Sun, 01 Mar 2026 12:00:00 GMT"}, largeFile, 304, 0, false},
		{"another file", "GET", map[string]string{"If-Match": `"other"`}, largeFile, 412, 0, false},
		{"a range behind the end", "GET", map[string]string{"Range": "bytes=700000-"}, largeFile, 416, 0, false},
		{"the head", "HEAD", nil, largeFile, 200, 0, false},
		{"the head of a range", "HEAD", map[string]string{"Range": "bytes=5-9"}, largeFile, 206, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			reg, blobs := rottenRegistry(t, test.size)
			r := httptest.NewRequest(test.method, "/", nil)
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			w, cut, err := get(reg, r, test.size, true)
			if w.Code != test.status || err != nil || cut || blobs.read.Load() != test.read {
				t.Errorf("%d, %v, cut %v; %d bytes were read, want %d", w.Code, err, cut, blobs.read.Load(), test.read)
			}
			plain, _, _ := get(reg, r, test.size, false)
			if !bytes.Equal(plain.Body.Bytes(), w.Body.Bytes()) && !strings.Contains(test.name, "two") || len(plain.Result().Header) != len(w.Result().Header) {
				t.Error("without verifying the answer is another")
			}

			blobs.rotten.Store(true)
			w, cut, err = get(reg, r, test.size, true)
			damaged := int64(1)
			switch {
			case test.read == 0:
				damaged = 0
				if w.Code != test.status || err != nil || cut {
					t.Errorf("what reads nothing answers %d, %v, cut %v", w.Code, err, cut)
				}
			case test.cut:
				if !cut || w.Body.Len() >= test.size || w.Body.Len() == 0 {
					t.Errorf("%d bytes of %d, cut %v, want fewer and cut", w.Body.Len(), test.size, cut)
				}
			default:
				if !errors.Is(err, store.ErrDamaged) || cut || w.Body.Len() > 0 {
					t.Errorf("%v, cut %v; %d bytes were sent", err, cut, w.Body.Len())
				}
			}
			if got := reg.Health().Damage.Count; got != damaged {
				t.Errorf("%d blobs are damaged, want %d", got, damaged)
			}
			if damaged == 0 {
				return
			}
			if _, _, err := get(reg, r, test.size, true); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("asked again: %v", err) // its bytes were put aside
			}
			blobs.rotten.Store(false)
			publishSized(t, reg, "again", test.size)
			if w, _, err := get(reg, r, test.size, true); w.Code != test.status || err != nil {
				t.Errorf("healed: %d, %v", w.Code, err)
			}
		})
	}
}

// TestAClientThatIsGoneIsNoDamage: a file of which ranges are wanted is not read to
// the end for nobody.
func TestAClientThatIsGoneIsNoDamage(t *testing.T) {
	reg, blobs := rottenRegistry(t, largeFile)
	blobs.rotten.Store(true)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=0-1")
	file, err := reg.Find(t.Context(), refOf("o", "p", "1", strconv.Itoa(largeFile)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := File(httptest.NewRecorder(), r.WithContext(ctx), file, Manner{Verify: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that the client is gone", err)
	}
	if reg.Health().Damage.Count != 0 || blobs.read.Load() >= largeFile {
		t.Errorf("%d bytes were read, the damage is %+v", blobs.read.Load(), reg.Health().Damage)
	}
}
