package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate sets blocks aside with fallocate(2), which not every file system has.
func allocate(file *os.File, bytes int64) error {
	for {
		err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, bytes)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP):
			return nil
		case err != nil:
			return &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
		}
		return nil
	}
}
