// Package tempdir has the temporary directories of tests.
package tempdir

import (
	"errors"
	"fmt"
	"os"
)

// Main runs the tests of a package that makes and deletes many files, for its TestMain. Their
// temporary directories lie in one whose directories ext4 spreads over the disk. Without a
// journal, ext4 does not use an inode again that was deleted some seconds ago, and searches
// long near many of those: that was more than a third of the time of the tests.
func Main(run func() int) int {
	dir, err := os.MkdirTemp("", "gr-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)) // other users too run what is in it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a directory for the tests:", err)
		return 1
	}
	spread(dir)
	return run()
}
