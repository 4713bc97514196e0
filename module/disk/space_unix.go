//go:build !windows

package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns the room that an unprivileged process has left in the file system that
// holds a directory.
func Free(directory string) (Space, error) {
	var stat unix.Statfs_t
	if err := uninterrupted(func() error { return unix.Statfs(directory, &stat) }); err != nil {
		return Space{}, fmt.Errorf("statfs %s: %w", directory, err)
	}
	// FreeBSD counts below zero when only the superuser's share is left.
	free := Space{Bytes: uint64(max(0, int64(stat.Bavail))) * blockSize(&stat), Files: Unlimited}
	if stat.Files > 0 { // btrfs and others have as many as there is room for
		free.Files = uint64(max(0, int64(stat.Ffree)))
	}
	return free, nil
}

// IsFull tells whether a write failed because there is no room, or no quota.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
