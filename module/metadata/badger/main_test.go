package badger

import (
	"flag"
	"os"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk/tempdir"
)

// TestMain has fewer histories of the model by default than in memory: stores on
// disk open slowly, and here they crash too. -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen && os.Getenv(long) == "" {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	os.Exit(tempdir.Main(m.Run))
}
