package journal

import (
	"bytes"
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
)

// TestASegmentThatEndsWhileItIsVerifiedIsGood: the next segment has a change before the
// verification knows where the journal ends.
// Seen to fail with the segments listed before the journal's end is asked for.
func TestASegmentThatEndsWhileItIsVerifiedIsGood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	o := options(0)
	o.FS = &faultyDisk{compressed: errors.New("the segment is still plain")}
	j := mustCreate(t, path, o)
	defer mustClose(t, j)
	fill(t, j, 3, 1)
	same := mustOpen(t, path, o) // which goes on while the other one waits
	defer mustClose(t, same)
	if err := same.Begin(); err != nil {
		t.Fatal(err)
	}
	var damage *Damage
	ended := make(chan error)
	j.mu.Lock()
	go func() {
		var err error
		damage, err = j.Verify(t.Context(), files.Segment{First: 1}.Name(), func(int) error { return nil })
		ended <- err
	}()
	for stacks := make([]byte, 1<<20); !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("(*Journal).Position(")); {
		runtime.Gosched()
	}
	if err := same.Seal(); err != nil {
		t.Fatal(err)
	}
	fill(t, same, 4, 1)
	j.position = same.Position()
	j.mu.Unlock()
	if err := <-ended; err != nil || damage != nil {
		t.Errorf("verifying a good segment: %v, damage %+v", err, damage)
	}
}
