package disk

import (
	"errors"
	"syscall"
)

// IsRefusal reports whether the system refused a call, as it does when a disk fails. Then
// nothing is known of the file: it may be whole, and may be read the next time. Every other
// error is of what was found in a file, or of a file that is not there. A store's decision
// against a publish is store.IsRefusal.
func IsRefusal(err error) bool {
	var refusal syscall.Errno
	return errors.As(err, &refusal) && refusal != syscall.ENOENT
}
