// Package genericregistry adds a registry of generic packages to Caddy. Clients publish,
// download and delete any file under an owner, a package name and a version. The API is
// that of Gitea's generic package registry.
//
// Importing the package registers the Caddy modules
//
//   - http.handlers.generic_registry, with the directive generic_registry
//   - http.authentication.providers.generic_registry, with the directive
//     generic_registry_auth
//   - generic_registry, the app that opens and closes the stores
//   - generic_registry.metadata.badger and generic_registry.metadata.postgres
//   - generic_registry.blobs.filesystem and generic_registry.blobs.s3
//   - admin.api.generic_registry, which the command caddy generic-registry asks
//
// Give the import path to xcaddy:
//
//	xcaddy build v2.11.9 --with github.com/generic-registry/caddy-generic-registry
package genericregistry

import _ "github.com/generic-registry/caddy-generic-registry/caddyfile"
