//go:build servers

package postgres

import (
	"context"
	"log/slog"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

// newBackend returns a backend with a schema that nobody uses.
func newBackend(t testing.TB) *Backend {
	t.Helper()
	return provisioned(t, &Backend{DSN: server.Socket("postgres"), Schema: server.NewName(), Connections: 8})
}

func provisioned(t testing.TB, b *Backend) *Backend {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := b.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

// connection returns one that is no store's.
func connection(t testing.TB, b *Backend) *pgx.Conn {
	t.Helper()
	conn, err := b.settings.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func metadataPlace(t testing.TB) func() (store.MetadataStore, error) {
	backend := newBackend(t)
	return func() (store.MetadataStore, error) { return backend.OpenMetadata(context.Background(), "", quiet) }
}

func blobPlace(t testing.TB) func() (store.BlobStore, error) {
	backend, root := filesystem.Backend{Reserve: 1 << 20}, t.TempDir()
	return func() (store.BlobStore, error) { return backend.OpenBlobs(context.Background(), root, quiet) }
}

func TestContract(t *testing.T) { storetest.Metadata(t, metadataPlace) }

func TestContractOfChanges(t *testing.T) { storetest.Changes(t, metadataPlace) }

func TestContractOfTokens(t *testing.T) { storetest.Tokens(t, metadataPlace) }

func TestRegistryOverPostgresAndFiles(t *testing.T) { storetest.Pair(t, metadataPlace, blobPlace) }

func TestTokensOverPostgresAndFiles(t *testing.T) {
	storetest.TokensOfPair(t, metadataPlace, blobPlace)
}

func TestModelOfPostgresAndFiles(t *testing.T) {
	storetest.Model(t, func(testing.TB) (storetest.MetadataPlace, storetest.BlobPlace, func()) {
		return metadataPlace, blobPlace, nil
	})
}

func TestCatalogModelOfPostgres(t *testing.T) {
	storetest.CatalogModel(t, func(t testing.TB) storetest.JournaledPlace {
		return storetest.JournaledPlace{Metadata: newBackend(t)}
	})
}
