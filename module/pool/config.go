package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/binding"
)

// Config is what one configuration of Caddy wants of a registry.
type Config struct {
	Root      string // the directory, in its one name
	Metadata  store.MetadataBackend
	Blobs     store.BlobBackend
	ScrubRate int64         // as in registry.Options
	DraftTTL  time.Duration // as in registry.Registry.KeepDrafts
	Log       *zap.Logger   // for what becomes of the registry here
	StoreLog  *slog.Logger  // for the registry itself, which knows no zap
	Audit     *zap.Logger   // for changes that the admin endpoint makes; may be nil

	// Quotas are those of owners that have a rule of their own. Nil when there are none.
	Quotas map[string]store.Quota

	// Hooks are told of changes, as by registry.Registry.SetHooks.
	Hooks []webhook.Hook

	// Rules is a digest of who may do what, to be compared with that of other nodes.
	Rules string

	// TakesTokens says that a site of the configuration accepts tokens of the registry.
	TakesTokens bool
}

// Key says which resources the registry consists of.
func (c *Config) Key() Key {
	name := func(backend any, identity string) string {
		if module, ok := backend.(caddy.Module); ok {
			return fmt.Sprintf("%s at %s", module.CaddyModule().ID, identity)
		}
		return identity
	}
	return Key{Metadata: name(c.Metadata, c.Metadata.Identity(c.Root)), Blobs: name(c.Blobs, c.Blobs.Identity(c.Root))}
}

// Open opens both halves, and a registry over them. The error says whose a directory is
// that may not be opened.
func (c *Config) Open(ctx context.Context, options registry.Options) (*registry.Registry, error) {
	if err := c.NotHalf(); err != nil {
		return nil, err
	}
	metadata, blobs, err := c.openBoth(ctx, options.Log)
	if err != nil {
		return nil, directory.OrPermission(err)
	}
	if _, ok := metadata.(store.Shared); ok {
		options.Node = c.node()
	}
	return registry.New(metadata, blobs, options), nil
}

// node names this process among those that share the stores: by its machine, and by the root,
// for several of one machine.
func (c *Config) node() string {
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	return machine + ":" + c.Root
}

// NotHalf reports half a restore, or half a copy. It makes nothing.
func (c *Config) NotHalf() error {
	if _, err := os.Stat(filepath.Join(c.Root, backup.CopyMark)); err == nil {
		return fmt.Errorf("%s has %w, of a copy that has not come to its end: run the same `caddy generic-registry copy` again", c.Root, store.ErrHalfRestored)
	}
	if _, err := os.Stat(filepath.Join(c.Root, backup.RestoreMark)); err != nil {
		return nil
	}
	places := c.Root
	for _, place := range []string{c.Metadata.Identity(c.Root), c.Blobs.Identity(c.Root)} {
		if !strings.HasPrefix(place, c.Root+string(filepath.Separator)) {
			places += " and in " + place
		}
	}
	return fmt.Errorf("%s has %w, which was interrupted or failed: delete what is in %s, and restore again", c.Root, store.ErrHalfRestored, places)
}

// besideBlobs is a store.MetadataBackend whose store may make what it writes durable together
// with the bytes of an open blob store, which is opened first.
type besideBlobs interface {
	Beside(blobs store.BlobStore) store.MetadataBackend
}

// Beside returns the backend of metadata beside a blob store that is open, or nil.
func (c *Config) Beside(blobs store.BlobStore) store.MetadataBackend {
	if backend, ok := c.Metadata.(besideBlobs); ok {
		return backend.Beside(blobs)
	}
	return c.Metadata
}

func (c *Config) openBoth(ctx context.Context, log *slog.Logger) (metadata store.MetadataStore, blobs store.BlobStore, err error) {
	if _, ok := c.Metadata.(besideBlobs); !ok {
		// Where the metadata is not to be had, as from a server that is gone, no blob store is read.
		if metadata, err = c.Metadata.OpenMetadata(ctx, c.Root, log); err != nil {
			return nil, nil, fmt.Errorf("opening metadata: %w", err)
		}
	}
	blobs, err = c.Blobs.OpenBlobs(ctx, c.Root, log)
	if err != nil {
		err = fmt.Errorf("opening blobs: %w", err)
		if metadata != nil {
			err = errors.Join(err, metadata.Close())
		}
		return nil, nil, err
	}
	if metadata == nil {
		if metadata, err = c.Beside(blobs).OpenMetadata(ctx, c.Root, log); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("opening metadata: %w", err), blobs.Close())
		}
	}
	if err := binding.Bind(ctx, metadata, blobs); err != nil {
		return nil, nil, errors.Join(err, blobs.Close(), metadata.Close())
	}
	return metadata, blobs, nil
}
