package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncBytes makes bytes durable with fdatasync(2), and the file's size, but not when it was
// written: for that alone a file system would write its own journal.
func syncBytes(file *os.File) error {
	if err := uninterrupted(func() error { return unix.Fdatasync(int(file.Fd())) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: file.Name(), Err: err}
	}
	return nil
}
