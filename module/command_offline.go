package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/pflag"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// offline is a registry that no server has open, by its directories.
type offline struct {
	*target
	metadataDir, blobsDir string
}

func (o *offline) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.metadataDir, "metadata-dir", "", "Directory of the metadata, where its block sets `dir` (default: metadata in the root)")
	flags.StringVar(&o.blobsDir, "blobs-dir", "", "Directory of the blobs, where its block sets `dir` (default: blobs in the root)")
}

// backends returns the backends that a configuration without settings has, for the
// directories of the flags.
func (o *offline) backends(notes io.Writer) (*backends, error) {
	if o.root == "" {
		return nil, errors.New("say which registry is meant: --root")
	}
	root, err := resolveRoot(o.root)
	if err != nil {
		return nil, err
	}
	metadata, err := offlineModule("generic_registry.metadata", defaultMetadata, o.metadataDir)
	if err != nil {
		return nil, err
	}
	blobs, err := offlineModule("generic_registry.blobs", defaultBlobs, o.blobsDir)
	if err != nil {
		return nil, err
	}
	return &backends{root: root, metadata: metadata.(registry.MetadataBackend), blobs: blobs.(registry.BlobBackend), storeLog: notesLog(notes)}, nil
}

// offlineModule makes the guest module that a configuration chooses.
func offlineModule(namespace string, chosen json.RawMessage, dir string) (any, error) {
	var choice struct{ Module string }
	if err := json.Unmarshal(chosen, &choice); err != nil {
		return nil, fmt.Errorf("choosing a module: %w", err)
	}
	info, err := caddy.GetModule(namespace + "." + choice.Module)
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]string{"dir": dir})
	if err != nil {
		return nil, fmt.Errorf("encoding settings: %w", err)
	}
	module := info.New()
	if err := json.Unmarshal(settings, module); err != nil {
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

// notesLog prints what stores have to say, without times.
func notesLog(notes io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(notes, &slog.HandlerOptions{ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}}))
}

// existing reports that there is no registry where the flags say: opening one would
// make it.
func (b *backends) existing() error {
	return errors.Join(b.holds(b.metadata.Identity(b.root)), b.holds(b.blobs.Identity(b.root)))
}

// holds reports that a directory of a registry does not exist or is empty.
func (b *backends) holds(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return fmt.Errorf("there is no registry at %s: %s does not exist or is empty", b.root, dir)
	}
	if err != nil {
		return fmt.Errorf("looking for the registry: %w", err)
	}
	return nil
}

// vacant reports that something is where the flags say.
func (b *backends) vacant() error {
	for _, dir := range []string{b.root, b.metadata.Identity(b.root), b.blobs.Identity(b.root)} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking whether %s is empty: %w", dir, err)
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
	if errors.Is(err, registry.ErrLocked) {
		return fmt.Errorf("a server has this registry open: leave --offline out to do this through that server, or stop it first: %w", err)
	}
	return err
}
