package module

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

var quietLog = slog.New(slog.DiscardHandler)

// TestHandlersOfOneStoreAgree on everything that is the store's.
func TestHandlersOfOneStoreAgree(t *testing.T) {
	app := &App{uses: make(map[pool.Key]*use)}
	defer func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	}()
	root := t.TempDir()
	use := func(metadataReserve, blobsReserve, scrubRate int64) error {
		_, err := app.use(root, &badger.Backend{Reserve: metadataReserve}, &filesystem.Backend{Reserve: blobsReserve}, scrubRate)
		return err
	}
	for range 2 {
		if err := use(100, 200, 300); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range [][3]int64{{101, 200, 300}, {100, 201, 300}, {100, 200, 301}, {100, 200, -1}} {
		if err := use(other[0], other[1], other[2]); !errors.Is(err, errContradiction) {
			t.Errorf("%v: error is %v", other, err)
		}
	}
}
