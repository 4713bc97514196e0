//go:build unix

package directory

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock locks an open file. False when it is locked already. Closing the file unlocks it.
func lock(file *os.File) (locked bool, err error) {
	for {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, os.NewSyscallError("flock", err)
		}
	}
}

// lockItself locks the directory beside the lock file in it, which somebody may remove:
// whoever meets the directory by another name meets this lock all the same.
func lockItself(path string) (*os.File, error) { return takeLock(path, os.O_RDONLY) }
