package hashing

import (
	"errors"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestNoMoreIsHashedThanCanWait(t *testing.T) {
	h := New(nil, nil, nil) // nobody hashes
	for i := range queueSize {
		if h.ask(store.Blob{Digest: store.Digest{byte(i), byte(i >> 8)}}) == nil {
			t.Fatalf("blob %d cannot wait", i)
		}
	}
	if _, err := h.Hashes(t.Context(), store.File{Blob: store.Blob{Digest: store.Digest{31: 1}}}); !errors.Is(err, ErrNotHashed) {
		t.Errorf("one more: %v", err)
	}
	if h.ask(store.Blob{Digest: store.Digest{31: 1}, Size: AtOnce + 1}) == nil {
		t.Error("a larger one waits for smaller ones")
	}
}
