package badger

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/directory/settings"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func init() { caddy.RegisterModule(&Backend{}) }

// smallestReserve leaves room above the floor for the deletes that make some, and for
// the ballast.
const smallestReserve = 64 << 20

// Backend keeps metadata in a Badger database of this process. It suits one
// machine; two processes cannot share it. Do not put it on a network file system.
type Backend struct {
	// The directory of the database. Placeholders are replaced when the config is
	// loaded. Default: `metadata` in the registry's root.
	Dir string `json:"dir,omitempty"`

	// Bytes of the disk that stay free: with less, files are not published and the
	// database is not opened, because Badger does not survive a full disk. With less
	// than 50331648 (48 MiB) nothing is deleted either. Zero means the default,
	// 268435456 (256 MiB); the least is 67108864 (64 MiB). It takes effect on a
	// reload.
	Reserve int64 `json:"reserve,omitempty"`

	// How much of the journal stays beyond what is needed. It takes effect on a reload.
	Journal *JournalSettings `json:"journal,omitempty"`

	carrier journal.Carrier // of what Beside returned; may be nil
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "generic_registry.metadata.badger",
		New: func() caddy.Module { return new(Backend) },
	}
}

func (b *Backend) settings() settings.Block {
	return settings.Block{
		Dir: &b.Dir, Reserve: &b.Reserve, LeastReserve: smallestReserve,
		Others: map[string]func(*caddyfile.Dispenser) error{"journal": b.unmarshalJournal},
	}
}

// Provision implements caddy.Provisioner.
func (b *Backend) Provision(caddy.Context) error {
	if err := b.Journal.check(); err != nil {
		return err
	}
	return b.settings().Provision()
}

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens:
//
//	badger {
//		dir     <path>
//		reserve <size>
//		journal {
//			keep <number|age>
//		}
//	}
func (b *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return b.settings().UnmarshalCaddyfile(d)
}

// Identity implements store.MetadataBackend.
func (b *Backend) Identity(root string) string { return directory.Identity(b.dir(root)) }

func (b *Backend) dir(root string) string {
	if b.Dir != "" {
		return b.Dir
	}
	return filepath.Join(root, "metadata")
}

// Beside returns the backend for a root whose blob store is open, or nil. That may make changes
// durable together with the bytes that they name.
func (b *Backend) Beside(blobs store.BlobStore) store.MetadataBackend {
	beside := *b
	beside.carrier, _ = blobs.(journal.Carrier)
	return &beside
}

// OpenMetadata implements store.MetadataBackend.
func (b *Backend) OpenMetadata(ctx context.Context, root string, log *slog.Logger) (store.MetadataStore, error) {
	h, err := take(b.dir(root), b.Reserve, log, disk.OS{}, b.carrier)
	if err != nil {
		return nil, err
	}
	s, err := h.openStore(ctx)
	if err != nil {
		return nil, h.release(err)
	}
	return s, b.AdjustMetadata(s)
}

// TellsChanges says that the stores are store.Changes, as module.ChangesBackend.
func (*Backend) TellsChanges() {}

// AdjustMetadata implements store.MetadataAdjuster.
func (b *Backend) AdjustMetadata(metadata store.MetadataStore) error {
	s, ok := metadata.(*Store)
	if !ok {
		return fmt.Errorf("adjusting metadata store: %T is not a Badger store", metadata)
	}
	s.space.reserve.Store(b.Reserve)
	keep := b.Journal.keep()
	s.kept.Store(&keep)
	return nil
}

var (
	_ caddy.Provisioner      = (*Backend)(nil)
	_ caddyfile.Unmarshaler  = (*Backend)(nil)
	_ store.MetadataBackend  = (*Backend)(nil)
	_ store.MetadataAdjuster = (*Backend)(nil)
)
