package badger

import (
	"log/slog"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

var discard = slog.New(slog.DiscardHandler)

func metadataPlace(t testing.TB) func() (registry.MetadataStore, error) {
	backend, root := Backend{Reserve: smallestReserve}, t.TempDir()
	return func() (registry.MetadataStore, error) { return backend.OpenMetadata(t.Context(), root, discard) }
}

func blobPlace(t testing.TB) func() (registry.BlobStore, error) {
	backend, root := filesystem.Backend{Reserve: 1 << 20}, t.TempDir()
	return func() (registry.BlobStore, error) { return backend.OpenBlobs(t.Context(), root, discard) }
}

func TestContract(t *testing.T) { storetest.Metadata(t, metadataPlace) }

func TestBackupOfBadgerAndFiles(t *testing.T) {
	storetest.Backup(t, func(t testing.TB) storetest.JournaledPlace {
		return storetest.JournaledPlace{
			Root:     t.TempDir(),
			Metadata: &Backend{Reserve: smallestReserve},
			Blobs:    &filesystem.Backend{Reserve: 1 << 20},
		}
	})
}

func TestContractOfTokens(t *testing.T) { storetest.Tokens(t, metadataPlace) }

func TestRegistryOverBadgerAndFiles(t *testing.T) { storetest.Pair(t, metadataPlace, blobPlace) }

func TestTokensOverBadgerAndFiles(t *testing.T) { storetest.TokensOfPair(t, metadataPlace, blobPlace) }

func TestModelOfBadgerAndFiles(t *testing.T) { storetest.Model(t, metadataPlace, blobPlace) }
