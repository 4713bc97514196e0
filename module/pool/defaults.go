package pool

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
)

// What an empty configuration means by its halves. This is the only place that chooses.
var (
	DefaultMetadata = json.RawMessage(`{"module": "badger"}`)
	DefaultBlobs    = json.RawMessage(`{"module": "filesystem"}`)
)

// ResolveRoot returns the directory that a configured root means, in its one name: a link
// to a root is that root. Empty is the default. Placeholders are replaced.
func ResolveRoot(configured string) (string, error) {
	root, err := caddy.NewReplacer().ReplaceOrErr(configured, true, true)
	if err != nil {
		return "", fmt.Errorf("root: %w", err)
	}
	if root == "" {
		root = filepath.Join(caddy.AppDataDir(), "generic_registry")
	}
	return directory.Identity(root), nil
}
