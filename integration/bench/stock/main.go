// Command stock is Caddy as it is released: the version of go.mod with its standard
// modules and nothing else. The benchmarks compare with it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
