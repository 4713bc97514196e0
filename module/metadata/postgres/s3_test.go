//go:build servers

package postgres

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// s3Place makes places of a server: each is a prefix of its own. Deleted bytes go at once, as
// the suites expect.
func s3Place(server *servers.S3) storetest.BlobPlace {
	return func(t testing.TB) func() (store.BlobStore, error) {
		t.Setenv("TEST_S3_SECRET", servers.Secret)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		t.Cleanup(cancel)
		settings := fmt.Sprintf(`{"endpoint": %q, "insecure": true, "bucket": %q, "prefix": %q, "key": %q, "secret": "{env.TEST_S3_SECRET}", "grace": -1}`,
			server.Endpoint(), servers.Bucket, "registry/"+string(store.NewSessionID()), servers.Key)
		loaded, err := ctx.LoadModuleByID("generic_registry.blobs.s3", json.RawMessage(settings))
		if err != nil {
			t.Fatal(err)
		}
		backend := loaded.(*s3.Backend)
		return func() (store.BlobStore, error) { return backend.OpenBlobs(t.Context(), "", quiet) }
	}
}

func TestRegistryOverPostgresAndS3(t *testing.T) {
	storetest.Pair(t, metadataPlace, s3Place(servers.StartS3(t)))
}

func TestTokensOverPostgresAndS3(t *testing.T) {
	storetest.TokensOfPair(t, metadataPlace, s3Place(servers.StartS3(t)))
}

func TestModelOfPostgresAndS3(t *testing.T) {
	blobs := s3Place(servers.StartS3(t))
	storetest.Model(t, func(t testing.TB) (storetest.MetadataPlace, storetest.BlobPlace, func()) {
		open, openBlobs := metadataPlace(t), blobs(t)
		return func(testing.TB) func() (store.MetadataStore, error) { return open },
			func(testing.TB) func() (store.BlobStore, error) { return openBlobs }, nil
	})
}

func TestSeveralProcessesOverPostgresAndS3(t *testing.T) {
	storetest.Shared(t, metadataPlace, s3Place(servers.StartS3(t)))
}
