package filesystem

import (
	"log/slog"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

var discard = slog.New(slog.DiscardHandler)

func TestContract(t *testing.T) {
	storetest.Blobs(t, func(t testing.TB) func() (store.BlobStore, error) {
		backend, root := Backend{Reserve: 1 << 20}, t.TempDir()
		return func() (store.BlobStore, error) { return backend.OpenBlobs(t.Context(), root, discard) }
	})
}
