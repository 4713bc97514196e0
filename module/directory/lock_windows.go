package directory

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock locks an open file. False when it is locked already. Closing the file unlocks it.
func lock(file *os.File) (locked bool, err error) {
	err = windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("LockFileEx", err)
}

// lockItself does nothing: a file that is locked cannot be removed.
func lockItself(string) (*os.File, error) { return nil, nil }
