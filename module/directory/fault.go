package directory

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Full adds registry.ErrNoSpace to what a full disk says.
func Full(err error) error {
	if disk.IsFull(err) {
		return fmt.Errorf("%w: %w", registry.ErrNoSpace, err)
	}
	return err
}

// IsRefusal tells what the system refuses, such as a disk that fails, from what was
// found in a file.
func IsRefusal(err error) bool {
	var refusal syscall.Errno
	return errors.As(err, &refusal) && refusal != syscall.ENOENT
}

// OpenFault judges an error of opening a store: whatever may pass while the configuration
// stands (registry.IsState) is ErrUnavailable, unless it says more exactly what it is.
func OpenFault(err error) error {
	err = Full(err)
	if err == nil || !registry.IsState(err) {
		return err
	}
	for _, exact := range []error{registry.ErrNoSpace, registry.ErrDamaged, registry.ErrUnavailable} {
		if errors.Is(err, exact) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
}
