package filesystem

import (
	"os"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk/tempdir"
)

func TestMain(m *testing.M) { os.Exit(tempdir.Main(m.Run)) }
