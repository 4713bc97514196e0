package bucket

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestPartsGrowWithTheObject: an upload that is flushed often has few large parts at last, and
// no more bytes are promised than 10,000 parts have. Seen to fail with a Flush that sends every
// SmallestPart bytes.
func TestPartsGrowWithTheObject(t *testing.T) {
	const partSize = 2 * SmallestPart
	var mu sync.Mutex
	var sizes []int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n, _ := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, n)
		w.Header().Set("ETag", `"tag"`)
	}))
	defer server.Close()
	b := bucketWith(t, server.URL, partSize, 10*time.Second)
	content := make([]byte, SmallestPart+1)
	for _, test := range []struct {
		name string
		sent Sent
		want []int64 // of the parts after three flushes
		rest int
	}{
		{"a small object has small parts", Sent{Upload: "u"}, []int64{SmallestPart + 1, SmallestPart + 1, SmallestPart + 1}, 0},
		{"a large object has whole parts", Sent{Upload: "u", Last: 1, Parts: []Part{{1, "tag", 10 << 30}}}, []int64{partSize}, SmallestPart + 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			sizes = nil
			g := b.Gather("key", test.sent)
			defer g.Release()
			var rest []byte
			for range 3 {
				err := g.Append(content)
				if err == nil {
					_, rest, err = g.Flush(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(sizes, test.want) || len(rest) != test.rest {
				t.Errorf("parts of %v bytes and %d more, want %v and %d", sizes, len(rest), test.want, test.rest)
			}
		})
	}
}

// TestMostGathered grows with part_size, and is never more than 10,000 parts.
func TestMostGathered(t *testing.T) {
	const gib = 1 << 30
	for _, test := range []struct {
		name            string
		partSize        int64
		sent            Sent
		atLeast, atMost int64
	}{
		{"the smallest part_size", SmallestPart, Sent{}, mostParts * SmallestPart, mostParts * SmallestPart},
		{"the default part_size", 16 << 20, Sent{}, 135 * gib, 157 * gib},
		{"a larger part_size", 64 << 20, Sent{}, 450 * gib, 625 * gib},
		{"the largest part_size", LargestPart, Sent{}, 4_500 * gib, 10_000 * gib},
		{"one number left", 16 << 20, Sent{Last: mostParts - 1, Parts: []Part{{1, "tag", 100 * gib}}}, 100*gib + 16<<20, 100*gib + 16<<20},
		{"none left", 16 << 20, Sent{Last: mostParts + spared, Parts: []Part{{1, "tag", 100 * gib}}}, 100 * gib, 100 * gib},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := bucketWith(t, "http://127.0.0.1:1", test.partSize, time.Second).MostGathered(test.sent)
			if got < test.atLeast || got > test.atMost {
				t.Errorf("%d bytes, want %d to %d", got, test.atLeast, test.atMost)
			}
		})
	}
}

// TestTooManyParts are a refusal: no try later is better. Seen to fail with the error of a
// request, which is ErrUnavailable.
func TestTooManyParts(t *testing.T) {
	g := bucketWith(t, "http://127.0.0.1:1", SmallestPart, time.Second).Gather("key", Sent{Upload: "u", Last: mostParts})
	defer g.Release()
	err := g.Append(make([]byte, SmallestPart+1))
	if !errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error is %v, want %v", err, store.ErrTooLarge)
	}
}
