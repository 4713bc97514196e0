package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

// Free returns the room that this user has left in the volume that holds a directory.
func Free(directory string) (Space, error) {
	name, err := windows.UTF16PtrFromString(directory)
	if err != nil {
		return Space{}, fmt.Errorf("directory %s: %w", directory, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", directory, err)
	}
	return Space{Bytes: free, Files: Unlimited}, nil
}

// IsFull tells whether a write failed because there is no room, or no quota.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
