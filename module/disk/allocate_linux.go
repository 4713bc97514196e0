package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate sets blocks aside with fallocate(2), which not every file system has.
func allocate(file *os.File, from, bytes int64) error {
	err := uninterrupted(func() error { return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, bytes) })
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return nil
	case err != nil:
		return &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
	}
	return nil
}

// Allocated returns the bytes that an open file takes of the disk, written or set aside.
// Zero where the system does not say. The kernel counts blocks of 512 bytes, whatever the
// file system's are (stat(3type)).
func Allocated(file *os.File) (int64, error) {
	var stat unix.Stat_t
	if err := uninterrupted(func() error { return unix.Fstat(int(file.Fd()), &stat) }); err != nil {
		return 0, &os.PathError{Op: "fstat", Path: file.Name(), Err: err}
	}
	return stat.Blocks * 512, nil
}
