package module

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
)

// TestDraftsAreKeptForTheLongest time of all handlers of a root, the default included.
//
// Seen to fail with the time of the last handler, and with a default that counts as nothing.
func TestDraftsAreKeptForTheLongest(t *testing.T) {
	const hour = caddy.Duration(time.Hour)
	for _, test := range []struct {
		name   string
		drafts []*files.Drafts
		want   time.Duration
	}{
		{"the default", []*files.Drafts{nil}, registry.DefaultDraftTTL},
		{"one that is shorter", []*files.Drafts{{TTL: hour}}, time.Hour},
		{"the longer one first", []*files.Drafts{{TTL: 3 * hour}, {TTL: hour}}, 3 * time.Hour},
		{"the longer one last", []*files.Drafts{{TTL: hour}, {TTL: 3 * hour}}, 3 * time.Hour},
		{"a shorter one beside the default", []*files.Drafts{{TTL: hour}, nil}, registry.DefaultDraftTTL},
		{"a longer one beside the default", []*files.Drafts{nil, {TTL: 300 * hour}}, 300 * time.Hour},
		{"none beside a shorter one", []*files.Drafts{{Off: true}, {TTL: hour}}, time.Hour},
		{"none at all", []*files.Drafts{{Off: true}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := &App{uses: make(map[pool.Key]*use)}
			defer func() {
				if err := app.Cleanup(); err != nil {
					t.Error(err)
				}
			}()
			root := t.TempDir()
			var key pool.Key
			for _, drafts := range test.drafts {
				h := &Handler{Root: root, Drafts: drafts, log: zap.NewNop()}
				if err := h.provisionSettings(); err != nil {
					t.Fatal(err)
				}
				var err error
				if key, err = app.use(root, new(badger.Backend), new(filesystem.Backend), 0); err != nil {
					t.Fatal(err)
				}
				h.store = key
				if err := app.serve(h, nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := app.uses[key].config.DraftTTL; got != test.want {
				t.Errorf("drafts are kept for %v, want %v", got, test.want)
			}
		})
	}
}

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
