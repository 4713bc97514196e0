//go:build !windows

package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// IsReadOnly tells whether a file system takes no writes, as one that is mounted so, or
// that the kernel has closed after an error.
func IsReadOnly(path string) bool {
	return errors.Is(unix.Access(path, unix.W_OK), unix.EROFS)
}

// AreOnOne tells whether two directories are on one file system.
func AreOnOne(a, b string) bool {
	var first, second unix.Stat_t
	return unix.Stat(a, &first) == nil && unix.Stat(b, &second) == nil && first.Dev == second.Dev
}
