package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// punch takes blocks out with fallocate(2). What a file system says that cannot is
// errors.ErrUnsupported.
func punch(file *os.File, from, bytes int64) error {
	err := uninterrupted(func() error {
		return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, bytes)
	})
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
	}
	return nil
}
