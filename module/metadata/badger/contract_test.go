package badger

import (
	"log/slog"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

var discard = slog.New(slog.DiscardHandler)

func metadataPlace(t testing.TB) func() (store.MetadataStore, error) {
	backend, root := Backend{Reserve: smallestReserve}, t.TempDir()
	return func() (store.MetadataStore, error) { return backend.OpenMetadata(t.Context(), root, discard) }
}

func blobPlace(t testing.TB) func() (store.BlobStore, error) {
	backend, root := filesystem.Backend{Reserve: 1 << 20}, t.TempDir()
	return func() (store.BlobStore, error) { return backend.OpenBlobs(t.Context(), root, discard) }
}

func TestContract(t *testing.T) { storetest.Metadata(t, metadataPlace) }

// TestBackupOfBadgerAndFiles was seen to fail with sums that are not kept for cleaned-up files.
// Seen to fail with sums that are not kept for cleaned-up files.
func TestBackupOfBadgerAndFiles(t *testing.T) {
	storetest.Backup(t, backupPlace)
	storetest.Increments(t, backupPlace)
}

func TestBadgerTellsAllThatItHas(t *testing.T) { storetest.Told(t, backupPlace) }

func backupPlace(t testing.TB) storetest.JournaledPlace {
	return storetest.JournaledPlace{
		Root:     t.TempDir(),
		Metadata: &Backend{Reserve: smallestReserve},
		Blobs:    &filesystem.Backend{Reserve: 1 << 20},
	}
}

func TestContractOfChanges(t *testing.T) { storetest.Changes(t, metadataPlace) }

func TestContractOfTokens(t *testing.T) { storetest.Tokens(t, metadataPlace) }

func TestRegistryOverBadgerAndFiles(t *testing.T) { storetest.Pair(t, metadataPlace, blobPlace) }

func TestTokensOverBadgerAndFiles(t *testing.T) { storetest.TokensOfPair(t, metadataPlace, blobPlace) }

// crashingPlace is a pair on disk that a crash moves to a copy of what is there. What
// is copied first may be behind: bytes may lack a name, never a name its bytes.
func crashingPlace(t testing.TB) (storetest.MetadataPlace, storetest.BlobPlace, func()) {
	root := t.TempDir()
	metadata := func(t testing.TB) func() (store.MetadataStore, error) {
		return func() (store.MetadataStore, error) {
			return (&Backend{Reserve: smallestReserve}).OpenMetadata(t.Context(), root, discard)
		}
	}
	blobs := func(t testing.TB) func() (store.BlobStore, error) {
		return func() (store.BlobStore, error) {
			return (&filesystem.Backend{Reserve: 1 << 20}).OpenBlobs(t.Context(), root, discard)
		}
	}
	return metadata, blobs, func() {
		to := t.TempDir()
		if err := copySparse(to, root); err != nil {
			t.Fatal(err)
		}
		root = to
	}
}

func TestModelOfBadgerAndFiles(t *testing.T) { storetest.Model(t, crashingPlace) }

// TestCatalogModelOfBadger was seen to fail with files that get new ids when a database is
// made anew.
func TestCatalogModelOfBadger(t *testing.T) {
	storetest.CatalogModel(t, func(t testing.TB) storetest.JournaledPlace {
		return storetest.JournaledPlace{Root: t.TempDir(), Metadata: &Backend{Reserve: smallestReserve}}
	})
}
