//go:build servers

package s3

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// TestContract also runs with the smallest parts, so that blobs and sessions of the suite
// have several.
func TestContract(t *testing.T) {
	server := servers.StartS3(t)
	storetest.SharedBlobs(t, places(server, func(b *Backend) { b.PartSize = bucket.SmallestPart }))
}

func newBadger() *badger.Backend { return &badger.Backend{Reserve: 16 << 20} }

func metadataPlace(t testing.TB) func() (store.MetadataStore, error) {
	backend, root := newBadger(), t.TempDir()
	return func() (store.MetadataStore, error) { return backend.OpenMetadata(t.Context(), root, discard) }
}

// withoutGrace has the reaper delete at once, as the suites expect.
func withoutGrace(b *Backend) { b.Grace = graceOff }

func TestRegistryOverBadgerAndS3(t *testing.T) {
	storetest.Pair(t, metadataPlace, places(servers.StartS3(t), withoutGrace))
}

func TestTokensOverBadgerAndS3(t *testing.T) {
	storetest.TokensOfPair(t, metadataPlace, places(servers.StartS3(t), withoutGrace))
}

func TestModelOfBadgerAndS3(t *testing.T) {
	server := servers.StartS3(t)
	storetest.Model(t, func(t testing.TB) (storetest.MetadataPlace, storetest.BlobPlace, func()) {
		open := metadataPlace(t)
		blobs := places(server, withoutGrace)(t)
		return func(testing.TB) func() (store.MetadataStore, error) { return open },
			func(testing.TB) func() (store.BlobStore, error) { return blobs }, nil
	})
}

func TestBackupOfBadgerAndS3(t *testing.T) {
	server := servers.StartS3(t)
	place := func(t testing.TB) storetest.JournaledPlace {
		return storetest.JournaledPlace{Root: t.TempDir(), Metadata: newBadger(), Blobs: backendAt(t, server.Endpoint(), func(b *Backend) {
			b.Prefix = "registry/" + string(store.NewSessionID())
			withoutGrace(b)
		})}
	}
	storetest.Backup(t, place)
	storetest.Increments(t, place)
}
