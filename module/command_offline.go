package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// offline is a registry that no server has open.
type offline struct{ *target }

// backends returns the backends of the registry that is meant.
func (o offline) backends(log *slog.Logger) (*backends, error) {
	placed, err := o.place()
	if err != nil {
		return nil, err
	}
	metadata, err := offlineModule("generic_registry.metadata", placed.Metadata)
	if err != nil {
		return nil, err
	}
	blobs, err := offlineModule("generic_registry.blobs", placed.Blobs)
	if err != nil {
		return nil, err
	}
	b := &backends{root: placed.Root, storeLog: log}
	var isMetadata, isBlobs bool
	b.metadata, isMetadata = metadata.(store.MetadataBackend)
	b.blobs, isBlobs = blobs.(store.BlobBackend)
	if !isMetadata || !isBlobs {
		return nil, fmt.Errorf("the stores of %s are not backends of a registry", placed.Root)
	}
	return b, nil
}

// offlineModule makes the guest module that a configuration chooses, with its settings.
func offlineModule(namespace string, chosen json.RawMessage) (any, error) {
	var choice struct{ Module string }
	if err := json.Unmarshal(chosen, &choice); err != nil {
		return nil, fmt.Errorf("choosing a module: %w", err)
	}
	info, err := caddy.GetModule(namespace + "." + choice.Module)
	if err != nil {
		return nil, err
	}
	module := info.New()
	if err := json.Unmarshal(chosen, module); err != nil {
		return nil, fmt.Errorf("setting up %s: %w", info.ID, err)
	}
	if provisioner, ok := module.(caddy.Provisioner); ok {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		defer cancel()
		if err := provisioner.Provision(ctx); err != nil {
			return nil, fmt.Errorf("setting up %s: %w", info.ID, err)
		}
	}
	return module, nil
}

// existing reports that there is no registry where one is meant: opening one would
// make it.
func (b *backends) existing() error {
	if err := b.notHalf(); err != nil {
		return err
	}
	return errors.Join(b.holds(b.metadata.Identity(b.root)), b.holds(b.blobs.Identity(b.root)))
}

// holds reports that a directory of a registry does not exist or is empty.
func (b *backends) holds(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return fmt.Errorf("there is no registry at %s: %s does not exist or is empty", b.root, dir)
	}
	if err != nil {
		return orPermission(fmt.Errorf("looking for the registry: %w", err))
	}
	return nil
}

// vacant reports that something is where a registry is to be made.
func (b *backends) vacant() error {
	if err := b.notHalf(); err != nil {
		return err
	}
	for _, dir := range []string{b.root, b.metadata.Identity(b.root), b.blobs.Identity(b.root)} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return orPermission(fmt.Errorf("looking whether %s is empty: %w", dir, err))
		}
		for _, entry := range entries {
			if entry.Name() != "lost+found" {
				return fmt.Errorf("%s is not empty: it has %s; name an empty or a new directory", dir, entry.Name())
			}
		}
	}
	return nil
}

// openRegistry opens a registry that does nothing by itself.
func (b *backends) openRegistry(ctx context.Context) (*registry.Registry, error) {
	if err := b.existing(); err != nil {
		return nil, err
	}
	opened, err := b.open(ctx, b.storeLog)
	if err != nil {
		return nil, orOnline(err)
	}
	return registry.New(opened.metadata, opened.blobs, registry.Options{Log: b.storeLog, Idle: true}), nil
}

// orOnline says how to do it while a server has the registry open.
func orOnline(err error) error {
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("a server has this registry open: leave --offline out to do this through that server, or stop it first: %w", err)
	}
	return err
}
