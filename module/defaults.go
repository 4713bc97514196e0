package module

import (
	"encoding/json"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/store"

	// The stores that every build has.
	_ "github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	_ "github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
)

// What an empty configuration means. This is the only place that chooses.
var (
	defaultMetadata = json.RawMessage(`{"module": "badger"}`)
	defaultBlobs    = json.RawMessage(`{"module": "filesystem"}`)
)

const (
	// DefaultPrefix is the path that the API is under.
	DefaultPrefix = "/api/packages"

	defaultFileNames = store.FileNamesDocumented
)

func defaultRoot() string { return filepath.Join(caddy.AppDataDir(), "generic_registry") }
