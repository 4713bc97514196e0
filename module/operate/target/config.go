package target

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

// StandardStream stands for standard input or output where a file is expected.
const StandardStream = "-"

// loadConfig returns the configuration of --config as JSON. Caddy's own function for
// that writes log lines.
func (t *Target) loadConfig() (text []byte, err error) {
	if t.config == StandardStream {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(t.config)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	name := t.adapter
	if name == "" && isCaddyfile(t.config) {
		name = "caddyfile"
	}
	if name == "" {
		if !json.Valid(text) {
			return nil, fmt.Errorf("the configuration %s is not JSON: name its adapter, such as --adapter caddyfile", t.config)
		}
		return text, nil
	}
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, fmt.Errorf("--adapter %s: this build has no such adapter", name)
	}
	adapted, _, err := adapter.Adapt(text, map[string]any{"filename": t.config})
	if err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", t.config, err)
	}
	return adapted, nil
}

// isCaddyfile tells by its name, as Caddy does, whether a file is a Caddyfile.
func isCaddyfile(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	extension := filepath.Ext(name)
	return extension == ".caddyfile" || strings.HasPrefix(name, "caddyfile") && extension != ".json"
}

// adminAddress is where the admin endpoint is: at --address, where --config says, or at
// Caddy's default address.
func (t *Target) adminAddress() (string, error) {
	if t.address != "" || t.config == "" {
		return cmp.Or(t.address, caddy.DefaultAdminListen), nil
	}
	text, err := t.loadConfig()
	if err != nil {
		return "", err
	}
	var config struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("reading the configuration %s: %w", t.config, err)
	}
	if config.Admin.Disabled {
		return "", fmt.Errorf("the configuration %s says `admin off`: commands reach a running Caddy through its admin endpoint only; write `admin unix//run/caddy/admin.sock` in place of `off`, or stop Caddy and use --offline", t.config)
	}
	return cmp.Or(config.Admin.Listen, caddy.DefaultAdminListen), nil
}

// placement is where a configuration keeps a registry.
type placement struct {
	Root     string          `json:"root"`
	Metadata json.RawMessage `json:"metadata"`
	Blobs    json.RawMessage `json:"blobs"`
}

// placements finds the registries of the configuration, each once, with their roots resolved.
func (t *Target) placements() (found []placement, err error) {
	text, err := t.loadConfig()
	if err != nil {
		return nil, err
	}
	var config any
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", t.config, err)
	}
	seen := make(map[string]bool)
	for _, handler := range handlersIn(config) {
		// What a handler sets is written over the bytes that are there.
		placed := placement{Metadata: slices.Clone(pool.DefaultMetadata), Blobs: slices.Clone(pool.DefaultBlobs)}
		text, err := json.Marshal(handler)
		if err == nil {
			err = json.Unmarshal(text, &placed)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the configuration %s: %w", t.config, err)
		}
		if placed.Root, err = pool.ResolveRoot(placed.Root); err != nil {
			return nil, err
		}
		if key := placed.Root + string(placed.Metadata) + string(placed.Blobs); !seen[key] {
			seen[key] = true
			found = append(found, placed)
		}
	}
	return found, nil
}

// handlerName is the directive's handler in the JSON of a configuration.
const handlerName = "generic_registry"

// handlersIn finds the directive's handlers, however deep their routes are.
func handlersIn(config any) (found []map[string]any) {
	switch value := config.(type) {
	case []any:
		for _, item := range value {
			found = append(found, handlersIn(item)...)
		}
	case map[string]any:
		if value["handler"] == handlerName {
			return append(found, value)
		}
		for _, item := range value {
			found = append(found, handlersIn(item)...)
		}
	}
	return found
}

// place chooses the registry that a command is for: that of --root, or the only one of
// --config. A root alone means the stores that a configuration without settings has.
func (t *Target) place() (chosen placement, err error) {
	root := ""
	if t.Root != "" {
		if root, err = pool.ResolveRoot(t.Root); err != nil {
			return chosen, err
		}
	}
	if t.config == "" {
		if root == "" {
			return chosen, errors.New("say which registry is meant: --config /etc/caddy/Caddyfile, or --root <directory> where the configuration sets no `metadata` and no `blobs`")
		}
		return placement{Root: root, Metadata: pool.DefaultMetadata, Blobs: pool.DefaultBlobs}, nil
	}
	found, err := t.placements()
	if err != nil {
		return chosen, err
	}
	var roots []string
	var fitting []placement
	for _, placed := range found {
		roots = append(roots, placed.Root)
		if root == "" || placed.Root == root {
			fitting = append(fitting, placed)
		}
	}
	slices.Sort(roots)
	switch {
	case len(found) == 0:
		return chosen, fmt.Errorf("the configuration %s has no generic_registry", t.config)
	case len(fitting) == 0:
		return chosen, fmt.Errorf("no registry of %s has the root %s: name one of %s, or leave --config out", t.config, root, strings.Join(roots, ", "))
	case len(fitting) > 1:
		return chosen, fmt.Errorf("say with --root which registry of %s is meant: %s", t.config, strings.Join(roots, ", "))
	}
	return fitting[0], nil
}
