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
	return errors.Join(Holds(config, config.Metadata.Identity(config.Root)), HoldsBlobs(config))
}

// HoldsBlobs is Holds for the blobs, which may be on another machine.
func HoldsBlobs(config *pool.Config) error {
	place := config.Blobs.Identity(config.Root)
	blobs, ok := config.Blobs.(remote.Elsewhere)
	if !ok {
		return Holds(config, place)
	}
	nothing, err := isVacant(blobs)
	if err != nil {
		return fmt.Errorf("looking for the registry at %s: %w", place, err)
	}
	if nothing {
		return fmt.Errorf("there is no registry at %s: %s is empty", config.Root, place)
	}
	return nil
}

func isVacant(blobs remote.Elsewhere) (bool, error) {
	ctx, cancel := waiting.Bounded(context.Background())
	defer cancel()
	return blobs.IsVacant(ctx)
}

// Holds returns an error unless a directory of a registry has something in it.
func Holds(config *pool.Config, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return fmt.Errorf("there is no registry at %s: %s does not exist or is empty", config.Root, dir)
	}
	if err != nil {
		return directory.OrPermission(fmt.Errorf("looking for the registry: %w", err))
	}
	return nil
}

// Vacant returns an error when something is where a registry is to be made.
func Vacant(config *pool.Config) error {
	if err := config.NotHalf(); err != nil {
		return err
	}
	dirs := []string{config.Root, config.Metadata.Identity(config.Root)}
	place := config.Blobs.Identity(config.Root)
	if blobs, ok := config.Blobs.(remote.Elsewhere); !ok {
		dirs = append(dirs, place)
	} else if nothing, err := isVacant(blobs); err != nil {
		return fmt.Errorf("looking whether %s is empty: %w", place, err)
	} else if !nothing {
		return fmt.Errorf("%s is not empty; name another prefix", place)
	}
	for _, dir := range dirs {
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
