//go:build unix

package directory

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestALockFileIsOnlyRead: on a file system that takes no writes a store is opened for its
// readers. Seen to fail, in TestAReadOnlyRootServesReads too, with a lock file that is opened
// to be written.
func TestALockFileIsOnlyRead(t *testing.T) {
	claim, err := Take(filepath.Join(t.TempDir(), "store"), "test", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := claim.Release(); err != nil {
			t.Error(err)
		}
	}()
	for _, file := range []*os.File{claim.lock, claim.itself} {
		flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := flags & unix.O_ACCMODE; got != unix.O_RDONLY {
			t.Errorf("%s: got access mode %d, want %d", file.Name(), got, unix.O_RDONLY)
		}
	}
}
