package module

import (
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"

	// What every build has: the stores, the admin endpoint and the command.
	_ "github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	_ "github.com/generic-registry/caddy-generic-registry/module/blobs/s3"
	_ "github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	_ "github.com/generic-registry/caddy-generic-registry/module/metadata/postgres"
	_ "github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	_ "github.com/generic-registry/caddy-generic-registry/module/operate/command"
)

const (
	// DefaultPrefix is the path that the API is under.
	DefaultPrefix = "/api/packages"

	defaultFileNames = naming.Documented
)
