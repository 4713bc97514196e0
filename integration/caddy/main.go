// Command caddy is Caddy with the generic_registry modules, as xcaddy would build
// it, so that a clone, its tests and CI need no xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/generic-registry/caddy-generic-registry"
)

func main() { caddycmd.Main() }
