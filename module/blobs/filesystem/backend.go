package filesystem

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
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func init() { caddy.RegisterModule(&Backend{}) }

// Backend keeps bytes as plain files in a directory of this machine. The names of these
// files are random: names sent by clients are never used as file names on disk. Files of up
// to 64 KiB are in packs, many in one file of about 64 MiB.
type Backend struct {
	// The directory of the files. Placeholders are replaced when the config is
	// loaded. Default: `blobs` in the registry's root.
	Dir string `json:"dir,omitempty"`

	// The bytes of the disk that stay free. An upload that would leave less, counting
	// uploads in progress, is refused. Zero means the default, 268435456 (256 MiB). It
	// takes effect on a reload.
	Reserve int64 `json:"reserve,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "generic_registry.blobs.filesystem",
		New: func() caddy.Module { return new(Backend) },
	}
}

func (b *Backend) settings() settings.Block {
	return settings.Block{Dir: &b.Dir, Reserve: &b.Reserve, LeastReserve: 1}
}

// Provision implements caddy.Provisioner.
func (b *Backend) Provision(caddy.Context) error { return b.settings().Provision() }

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens:
//
//	filesystem {
//		dir     <path>
//		reserve <size>
//	}
func (b *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return b.settings().UnmarshalCaddyfile(d)
}

// Identity implements store.BlobBackend.
func (b *Backend) Identity(root string) string { return directory.Identity(b.dir(root)) }

func (b *Backend) dir(root string) string {
	if b.Dir != "" {
		return b.Dir
	}
	return filepath.Join(root, "blobs")
}

// OpenBlobs implements store.BlobBackend.
func (b *Backend) OpenBlobs(_ context.Context, root string, log *slog.Logger) (store.BlobStore, error) {
	return Open(b.dir(root), b.Reserve, log, disk.OS{})
}

// AdjustBlobs implements store.BlobAdjuster.
func (b *Backend) AdjustBlobs(blobs store.BlobStore) error {
	s, ok := blobs.(*Store)
	if !ok {
		return fmt.Errorf("adjusting blob store: %T is not a filesystem store", blobs)
	}
	s.space.reserve.Store(b.Reserve)
	return nil
}

var (
	_ caddy.Provisioner     = (*Backend)(nil)
	_ caddyfile.Unmarshaler = (*Backend)(nil)
	_ store.BlobBackend     = (*Backend)(nil)
	_ store.BlobAdjuster    = (*Backend)(nil)
)
