package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Stopped returns where the registry of a stopped server is, and its backends. It opens
// nothing.
func (t *Target) Stopped(log *slog.Logger) (*pool.Config, error) {
	placed, err := t.place()
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
	config := &pool.Config{Root: placed.Root, StoreLog: log}
	var isMetadata, isBlobs bool
	config.Metadata, isMetadata = metadata.(store.MetadataBackend)
	config.Blobs, isBlobs = blobs.(store.BlobBackend)
	if !isMetadata || !isBlobs {
		return nil, fmt.Errorf("the stores of %s are not backends of a registry", placed.Root)
	}
	return config, nil
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

// existing reports that there is no registry where one is meant. Opening would make one.
func existing(config *pool.Config) error {
	if err := config.NotHalf(); err != nil {
		return err
	}
	return errors.Join(Holds(config, config.Metadata), Holds(config, config.Blobs))
}

// half is a backend of either half of a registry.
type half interface{ Identity(root string) string }

// ErrNothing says that there is nothing where a half of a registry would be opened.
var ErrNothing = errors.New("there is no registry")

// Holds returns ErrNothing unless there is something where a half of a registry would be opened.
// Any other error says that this is not known.
func Holds(config *pool.Config, of half) error {
	place := of.Identity(config.Root)
	if elsewhere, ok := of.(remote.Elsewhere); ok {
		nothing, err := isVacant(elsewhere)
		if err != nil {
			return fmt.Errorf("looking for the registry at %s: %w", place, err)
		}
		if nothing {
			return fmt.Errorf("%w at %s: %s is empty", ErrNothing, config.Root, place)
		}
		return nil
	}
	entries, err := os.ReadDir(place)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return fmt.Errorf("%w at %s: %s does not exist or is empty", ErrNothing, config.Root, place)
	}
	if err != nil {
		return directory.OrPermission(fmt.Errorf("looking for the registry: %w", err))
	}
	return nil
}

func isVacant(of remote.Elsewhere) (bool, error) {
	ctx, cancel := waiting.Bounded(context.Background())
	defer cancel()
	return of.IsVacant(ctx)
}

// vacant returns the directory that a half of a registry would be made in, or an error when
// something is in its place on another machine.
func vacant(config *pool.Config, of half, another string) (dir string, err error) {
	place := of.Identity(config.Root)
	elsewhere, ok := of.(remote.Elsewhere)
	if !ok {
		return place, nil
	}
	nothing, err := isVacant(elsewhere)
	if err != nil {
		return "", fmt.Errorf("looking whether %s is empty: %w", place, err)
	}
	if !nothing {
		return "", fmt.Errorf("%s is not empty; name another %s", place, another)
	}
	return "", nil
}

// Vacant returns an error when something is where a registry is to be made.
func Vacant(config *pool.Config) error {
	if err := config.NotHalf(); err != nil {
		return err
	}
	metadata, err := vacant(config, config.Metadata, "schema")
	if err != nil {
		return err
	}
	blobs, err := vacant(config, config.Blobs, "prefix")
	if err != nil {
		return err
	}
	for _, dir := range []string{config.Root, metadata, blobs} {
		if dir == "" {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return directory.OrPermission(fmt.Errorf("looking whether %s is empty: %w", dir, err))
		}
		for _, entry := range entries {
			if entry.Name() != "lost+found" {
				return fmt.Errorf("%s is not empty: it has %s; name an empty or a new directory", dir, entry.Name())
			}
		}
	}
	return nil
}

// OpenIdle opens a registry that does nothing by itself.
func OpenIdle(ctx context.Context, config *pool.Config) (*registry.Registry, error) {
	if err := existing(config); err != nil {
		return nil, err
	}
	reg, err := config.Open(ctx, registry.Options{Log: config.StoreLog, Idle: true})
	return reg, orOnline(err)
}

// orOnline adds to ErrLocked what to do while a server has the registry open.
func orOnline(err error) error {
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("a server has this registry open: leave --offline out to do this through that server, or stop it first: %w", err)
	}
	return err
}

// Scratch is a backend that makes stores in folders, for what is to be summed up.
func Scratch() (store.MetadataBackend, error) {
	made, err := offlineModule("generic_registry.metadata", pool.DefaultMetadata)
	if err != nil {
		return nil, err
	}
	backend, ok := made.(store.MetadataBackend)
	if !ok {
		return nil, fmt.Errorf("%T is not a backend of metadata", made)
	}
	return backend, nil
}
