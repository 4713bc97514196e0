package directory

import (
	"errors"
	"fmt"
	"io/fs"
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

// OpenFault judges an error of opening a store: a disk that is full or fails may do
// better while the configuration stands (registry.IsState); permissions that are
// missing, or a name that is no directory, are the configuration's.
func OpenFault(err error) error {
	err = Full(err)
	if !IsRefusal(err) || registry.IsState(err) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
}
