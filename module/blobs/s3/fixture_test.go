//go:build servers

package s3

import (
	"log/slog"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

var discard = slog.New(slog.DiscardHandler)

// backendAt is a provisioned backend of a server.
func backendAt(t testing.TB, endpoint string, change func(*Backend)) *Backend {
	t.Helper()
	b := &Backend{Endpoint: endpoint, Insecure: true, Bucket: servers.Bucket, Key: servers.Key, Secret: servers.Secret, Timeout: caddy.Duration(10 * time.Second)}
	if change != nil {
		change(b)
	}
	if err := b.replace(); err != nil {
		t.Fatal(err)
	}
	b.fillDefaults()
	if err := b.validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

// openAt opens a store that ends with the test.
func openAt(t testing.TB, b *Backend) *Store {
	t.Helper()
	blobs, err := b.OpenBlobs(t.Context(), "", discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	return blobs.(*Store)
}

// places makes places of a server: each is a prefix of its own.
func places(server *servers.S3, change func(*Backend)) func(testing.TB) func() (store.BlobStore, error) {
	return func(t testing.TB) func() (store.BlobStore, error) {
		b := backendAt(t, server.Endpoint(), func(b *Backend) {
			b.Prefix = "registry/" + string(store.NewSessionID())
			if change != nil {
				change(b)
			}
		})
		return func() (store.BlobStore, error) { return b.OpenBlobs(t.Context(), "", discard) }
	}
}
