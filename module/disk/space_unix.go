//go:build !windows

package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns the bytes that an unprivileged process may still write in the file
// system that holds a directory.
func Free(directory string) (uint64, error) {
	var stat unix.Statfs_t
	if err := uninterrupted(func() error { return unix.Statfs(directory, &stat) }); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", directory, err)
	}
	// FreeBSD counts below zero when only the superuser's share is left.
	return uint64(max(0, int64(stat.Bavail))) * blockSize(&stat), nil
}

// IsFull tells whether a write failed because there is no room, or no quota.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
