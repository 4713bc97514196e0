//go:build servers

package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

func newPgBouncer(t *testing.T) *postgrestest.PgBouncer {
	t.Helper()
	bouncer, err := server.NewPgBouncer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log := bouncer.Stop(); t.Failed() {
			t.Logf("the log of PgBouncer:\n%s", log)
		}
	})
	return bouncer
}

// pooled opens stores through PgBouncer, in a mode.
func pooled(bouncer *postgrestest.PgBouncer, mode string) storetest.MetadataPlace {
	return func(t testing.TB) func() (store.MetadataStore, error) {
		b := provisioned(t, &Backend{DSN: bouncer.Pooling(mode), Schema: server.NewName(), Connections: 8})
		return func() (store.MetadataStore, error) { return b.OpenMetadata(context.Background(), "", quiet) }
	}
}

// TestSessionsThroughPgBouncer: a PgBouncer that keeps the server's process for a connection
// keeps the contract.
func TestSessionsThroughPgBouncer(t *testing.T) {
	place := pooled(newPgBouncer(t), "session")
	storetest.Metadata(t, place)
	storetest.Tokens(t, place)
}

// TestOtherPoolingIsRefused: of a PgBouncer that nobody else uses, and while others take and give
// back the processes of the server all the time. Seen to fail without the check, and with one
// that looks at one connection only: PgBouncer gives a process that is free to who had it last.
func TestOtherPoolingIsRefused(t *testing.T) {
	bouncer := newPgBouncer(t)
	refused := func(t *testing.T, mode string) {
		t.Helper()
		_, err := pooled(bouncer, mode)(t)()
		if !errors.Is(err, store.ErrRefused) || store.IsState(err) || !strings.Contains(err.Error(), "pool_mode = session") {
			t.Errorf("the error is %v, want %v that says what to write", err, store.ErrRefused)
		}
	}
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) { refused(t, mode) })
	}
	t.Run("transaction, while others are at work", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var others sync.WaitGroup
		defer others.Wait()
		defer stop()
		for range 4 {
			conn, err := pgx.Connect(ctx, bouncer.Pooling("transaction"))
			if err != nil {
				t.Fatal(err)
			}
			others.Go(func() {
				defer conn.Close(context.Background())
				for err := error(nil); err == nil; {
					_, err = conn.Exec(ctx, "SELECT 1", pgx.QueryExecModeSimpleProtocol)
				}
			})
		}
		for range 5 {
			refused(t, "transaction")
		}
	})
}
