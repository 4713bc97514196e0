// Package filesystem keeps the bytes of files as plain files in a directory.
package filesystem

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func init() { caddy.RegisterModule(&Backend{}) }

const (
	defaultReserve = 256 << 20
	largestSize    = 1 << 62
)

// Backend keeps bytes as plain files in a directory of this machine, under names
// of their own: what clients call their files never reaches the disk.
type Backend struct {
	// The directory of the files. Placeholders are replaced when the config is
	// loaded. Default: `blobs` in the registry's root.
	Dir string `json:"dir,omitempty"`

	// Bytes of the disk that stay free: a file that would leave less, counting
	// uploads under way, is refused. Zero means the default, 268435456 (256 MiB).
	// It takes effect on a reload.
	Reserve int64 `json:"reserve,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "generic_registry.blobs.filesystem",
		New: func() caddy.Module { return new(Backend) },
	}
}

// Provision implements caddy.Provisioner.
func (b *Backend) Provision(caddy.Context) error {
	dir, err := caddy.NewReplacer().ReplaceOrErr(b.Dir, true, true)
	if err != nil {
		return fmt.Errorf("dir: %w", err)
	}
	b.Dir = dir
	if b.Reserve == 0 {
		b.Reserve = defaultReserve
	}
	if b.Reserve < 0 || b.Reserve > largestSize {
		return fmt.Errorf("reserve is %d: write a number of bytes, or leave it out for %s", b.Reserve, humanize.IBytes(defaultReserve))
	}
	return nil
}

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens:
//
//	filesystem {
//		dir     <path>
//		reserve <size>
//	}
func (b *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // module name
	if d.NextArg() {
		return d.Errf("unexpected %q after filesystem: settings go into a block", d.Val())
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if word != "dir" && word != "reserve" {
			return d.Errf("unknown setting %q of filesystem: write dir or reserve", word)
		}
		if seen[word] {
			return d.Errf("%s is written twice: keep one", word)
		}
		seen[word] = true
		var value string
		if !d.Args(&value) || d.NextArg() {
			return d.Errf("write %s with one value", word)
		}
		if word == "dir" {
			b.Dir = value
			continue
		}
		size, err := humanize.ParseBytes(value)
		if err != nil || size == 0 || size > largestSize {
			return d.Errf("reserve %q is not a size: write one such as 1GiB", value)
		}
		b.Reserve = int64(size)
	}
	return nil
}

// Identity implements registry.BlobBackend.
func (b *Backend) Identity(root string) string { return directory.Identity(b.dir(root)) }

func (b *Backend) dir(root string) string {
	if b.Dir != "" {
		return b.Dir
	}
	return filepath.Join(root, "blobs")
}

// OpenBlobs implements registry.BlobBackend.
func (b *Backend) OpenBlobs(_ context.Context, root string, log *slog.Logger) (registry.BlobStore, error) {
	return open(b.dir(root), b.Reserve, log, systemOperations)
}

// AdjustBlobs implements registry.BlobAdjuster.
func (b *Backend) AdjustBlobs(store registry.BlobStore) error {
	s, ok := store.(*Store)
	if !ok {
		return fmt.Errorf("adjusting blob store: %T is not a filesystem store", store)
	}
	s.space.reserve.Store(b.Reserve)
	return nil
}

var (
	_ caddy.Provisioner     = (*Backend)(nil)
	_ caddyfile.Unmarshaler = (*Backend)(nil)
	_ registry.BlobBackend  = (*Backend)(nil)
	_ registry.BlobAdjuster = (*Backend)(nil)
)
