package badger

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
)

// TestACheckpointThatIsCut at any of its steps, the removing of segments too, by an error
// of the disk or by a crash: what is left after a power cut makes the same database.
func TestACheckpointThatIsCut(t *testing.T) {
	const rounds, files = 3, 10
	// run makes checkpoints with a fault, and returns the first operation of each and the
	// one after the last, and how many files were acknowledged.
	run := func(root string, fault disktest.Fault) (fsys *disktest.FS, steps []int, acknowledged int) {
		fsys = disktest.New(root, fault)
		s, err := openSmall(filepath.Join(root, "metadata"), besideBadger{fsys})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // on a machine that has crashed it fails
		s.checkpointLeast = 1 << 40
		for round := range rounds {
			for i := range files {
				if err := publishNumbered(s, "o", round*files+i); err != nil {
					if fault.Operation == 0 || round == 0 {
						t.Fatal(err)
					}
					return fsys, steps, acknowledged
				}
				acknowledged++
			}
			steps = append(steps, len(fsys.Operations())+1)
			if err := s.Checkpoint(t.Context()); err != nil && fault.Operation == 0 {
				t.Fatal(err)
			}
			steps = append(steps, len(fsys.Operations())+1)
		}
		return fsys, steps, acknowledged
	}
	quiet, steps, _ := run(t.TempDir(), disktest.Fault{})
	kinds := quiet.Operations()
	every := 3
	if os.Getenv(long) != "" {
		every = 1
	}
	tried := 0
	for round := range rounds {
		for operation := steps[2*round]; operation < steps[2*round+1]; operation++ {
			for _, mode := range []disktest.Mode{disktest.Fail, disktest.Done, disktest.CrashBefore, disktest.CrashAfter} {
				if tried++; tried%every != 0 {
					continue
				}
				root := t.TempDir()
				fsys, _, acknowledged := run(root, disktest.Fault{Operation: operation, Mode: mode, Err: syscall.EIO})
				if err := fsys.PowerCut(); err != nil {
					t.Fatal(err)
				}
				dropDatabase(t, filepath.Join(root, "metadata"))
				s, err := openSmall(filepath.Join(root, "metadata"), disk.OS{})
				if err != nil {
					t.Errorf("operation %d, %v, mode %v: %v", operation, kinds[operation-1], mode, err)
					continue
				}
				wantNumbered(t, s, acknowledged, numbers(acknowledged)...)
				if err := s.Checkpoint(t.Context()); err != nil {
					t.Errorf("operation %d, %v, mode %v: the next checkpoint: %v", operation, kinds[operation-1], mode, err)
				}
				mustClose(t, s)
			}
		}
	}
	if tried < 100 {
		t.Errorf("%d faults were there to be tried: segments are not removed", tried)
	}
}
