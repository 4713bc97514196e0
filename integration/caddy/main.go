package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/dgraph-io/badger/v4"
	_ "github.com/dunglas/httpsfv"
	_ "github.com/gofrs/flock"
	_ "go.uber.org/goleak"
	_ "pgregory.net/rapid"
)

func main() { caddycmd.Main() }
