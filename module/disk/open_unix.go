//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"
)

// openFile is os.OpenFile for files and directories of a disk. That one tries to have
// the runtime poll them, which cannot be, with five system calls.
func openFile(name string, flags int) (*os.File, error) {
	var descriptor int
	if err := uninterrupted(func() (err error) {
		descriptor, err = syscall.Open(name, flags|syscall.O_CLOEXEC, uint32(FilePermissions))
		return err
	}); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(descriptor), name), nil
}
