package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// punch takes blocks out with fallocate(2), which not every file system can.
func punch(file *os.File, from, bytes int64) error {
	err := uninterrupted(func() error {
		return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, bytes)
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return zero(file, from, bytes)
	case err != nil:
		return &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
	}
	return nil
}
