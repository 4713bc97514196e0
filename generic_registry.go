// Package genericregistry adds a registry of generic packages to Caddy: any file,
// published, downloaded and deleted under an owner, a package name and a version,
// with the API of Gitea's generic package registry.
//
// Importing it registers the handler http.handlers.generic_registry, the app
// generic_registry, the stores generic_registry.metadata.badger and
// generic_registry.blobs.filesystem, and the Caddyfile directive
// generic_registry. It is what xcaddy is given:
//
//	xcaddy build --with github.com/generic-registry/caddy-generic-registry
package genericregistry

import _ "github.com/generic-registry/caddy-generic-registry/caddyfile"
