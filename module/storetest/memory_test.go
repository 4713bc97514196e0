package storetest_test

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

func metadataInMemory(testing.TB) func() (store.MetadataStore, error) {
	return memory.NewMetadata().Open
}

func blobsInMemory(testing.TB) func() (store.BlobStore, error) { return memory.NewBlobs().Open }

func TestMetadataInMemory(t *testing.T) { storetest.Metadata(t, metadataInMemory) }

func TestChangesInMemory(t *testing.T) { storetest.Changes(t, metadataInMemory) }

func TestTokensInMemory(t *testing.T) { storetest.Tokens(t, metadataInMemory) }

func TestBlobsInMemory(t *testing.T) { storetest.Blobs(t, blobsInMemory) }

func TestPairInMemory(t *testing.T) { storetest.Pair(t, metadataInMemory, blobsInMemory) }

func TestTokensOfPairInMemory(t *testing.T) {
	storetest.TokensOfPair(t, metadataInMemory, blobsInMemory)
}

func TestModelInMemory(t *testing.T) {
	storetest.Model(t, func(testing.TB) (storetest.MetadataPlace, storetest.BlobPlace, func()) {
		return metadataInMemory, blobsInMemory, nil
	})
}

func TestBackupInMemory(t *testing.T) {
	place := func(testing.TB) storetest.JournaledPlace {
		return storetest.JournaledPlace{Metadata: memory.NewMetadata(), Blobs: memory.NewBlobs()}
	}
	storetest.Backup(t, place)
	storetest.Increments(t, place)
}

func TestCatalogModelInMemory(t *testing.T) {
	storetest.CatalogModel(t, func(testing.TB) storetest.JournaledPlace {
		return storetest.JournaledPlace{Metadata: memory.NewMetadata()}
	})
}
