//go:build servers

package postgres

import (
	"fmt"
	"os"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
)

// server is what all tests use, each with a schema of its own.
var server *postgrestest.Server

func TestMain(m *testing.M) {
	var err error
	if server, err = postgrestest.New(); err != nil {
		fmt.Fprintln(os.Stderr, "starting PostgreSQL:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := server.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, "removing PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}
