package bucket

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// TestAnEmptyBucketInThePlaceOfTheRightOne is found while its server takes objects, and is a fault
// until the mark is there again. Seen to fail with an ask that looks only for an error, and with a
// fault that ends with the next answer.
func TestAnEmptyBucketInThePlaceOfTheRightOne(t *testing.T) {
	var empty atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !r.URL.Query().Has("list-type"):
			w.Header().Set("ETag", `"tag"`)
		case empty.Load():
			fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
		default:
			fmt.Fprint(w, "<ListBucketResult><Contents><Key>MARK</Key><Size>4</Size></Contents></ListBucketResult>")
		}
	}))
	defer server.Close()
	b := bucketAt(t, server.URL)
	var told waiting.Lasting
	for _, isEmpty := range []bool{false, true, false} {
		empty.Store(isEmpty)
		b.health.marked = time.Now().Add(-pingInterval)
		if err := b.Put(t.Context(), "key", nil); err != nil {
			t.Fatal(err)
		}
		if !b.health.isDue() {
			t.Error("nobody is about to ask for the mark while others write")
		}
		b.ask(t.Context(), &told)
		if err := b.Put(t.Context(), "key", nil); err != nil {
			t.Fatal(err)
		}
		if fault := b.Fault(); errors.Is(fault, store.ErrUnavailable) != isEmpty {
			t.Errorf("empty is %v, and the fault is %v", isEmpty, fault)
		}
		if err := b.Writable(t.Context()); errors.Is(err, store.ErrUnavailable) != isEmpty {
			t.Errorf("empty is %v, and what makes objects hears %v", isEmpty, err)
		}
	}
}
