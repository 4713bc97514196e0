package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// flush starts the writing and waits for nothing. With this flag alone it does not
// take away the error that a later fsync(2) has to report: sync_file_range(2) does
// that when it waits.
func flush(file *os.File, from, bytes int64) error {
	err := uninterrupted(func() error {
		return unix.SyncFileRange(int(file.Fd()), from, bytes, unix.SYNC_FILE_RANGE_WRITE)
	})
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESPIPE):
		return nil
	case err != nil:
		return &os.PathError{Op: "sync_file_range", Path: file.Name(), Err: err}
	}
	return nil
}
