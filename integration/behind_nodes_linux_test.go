//go:build servers

package integration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOlderMetadataOfSeveralNodes: PostgreSQL is restored from an older copy while nodes run. Every
// node refuses changes, not only the one that sweeps, or the publishes of the others would hide
// what is missing. When an administrator confirms at one node, all of them go on. Seen to fail
// with a position that only the sweep keeps: neither node finds out.
func TestOlderMetadataOfSeveralNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, caddyBinary, 2, everything...)
	first, second := c.nodes[0], c.nodes[1]
	data, older := filepath.Join(c.database.Host(), "data"), filepath.Join(c.database.Host(), "older")
	whileStopped := func(change func() error) {
		t.Helper()
		c.noError(c.database.Stop("fast"))
		c.noError(change())
		c.noError(c.database.Start())
	}
	ready := func(want bool) {
		t.Helper()
		for _, n := range c.nodes {
			n.in(c).eventually("every node takes changes, or none", func() bool {
				_, is := n.health()
				return is.Ready == want && strings.Contains(strings.Join(is.Problems, "\n"), "caddy generic-registry sweep --confirm") != want
			})
		}
	}
	for _, n := range c.nodes {
		n.faults = append(n.faults, "nothing is published, deleted or swept")
	}
	kept, lost := filePath("team", "p", "1", "kept"), filePath("team", "p", "1", "lost")
	first.put(kept, []byte("kept"))
	whileStopped(func() error { return exec.Command("cp", "-a", data, older).Run() })
	ready(true)
	first.put(lost, []byte("lost"))
	first.mustCommand("sweep") // the blobs know of the change now

	whileStopped(func() error {
		if err := os.Rename(data, data+".newer"); err != nil {
			return err
		}
		return os.Rename(older, data)
	})
	ready(false)
	for _, n := range c.nodes {
		n.wantBytes(kept, []byte("kept"))
		n.want(http.StatusServiceUnavailable, http.MethodPut, lost, "alice", []byte("other"))
	}
	second.mustCommand("sweep", "--confirm")
	ready(true)
	first.put(lost, []byte("other"))
	second.wantBytes(lost, []byte("other"))
}
