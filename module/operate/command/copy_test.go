package command

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// TestACopyTellsWhatTheTargetLacks, and so does the target's metadata before anybody reads.
// Seen to fail where the last line only said that both are equal, and where the metadata learned
// of the damage when somebody read.
func TestACopyTellsWhatTheTargetLacks(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 6)
	flipBit(t, largestBlob(t, filepath.Join(c.root, "blobs")))
	delete(c.published, fileRef("f5"))
	out := c.mustRun("copy", "--from-root", c.root, "--to-root", c.path("made"), "--skip-damaged")
	if !strings.Contains(out, "source and target are equal, but 1 blob is damaged in the source and missing in the target") {
		t.Errorf("it prints %q", out)
	}
	c.with(c.path("made"), func(reg *registry.Registry) error {
		damaged, _, err := reg.Metadata().Damaged(t.Context(), 1)
		if damaged != 1 {
			t.Errorf("the target knows %d damaged blobs, want 1", damaged)
		}
		return err
	})
	c.want(c.path("made"))
}
