package disk

import (
	"errors"
	"syscall"
)

// IsRefusal tells what the system refuses, such as a disk that fails, from what was
// found in a file: that may be as it was written, and can be read the next time.
func IsRefusal(err error) bool {
	var refusal syscall.Errno
	return errors.As(err, &refusal) && refusal != syscall.ENOENT
}
