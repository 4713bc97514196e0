//go:build unix

package disk

import (
	"errors"
	"syscall"
)

// uninterrupted makes a system call again while a signal interrupts it: Go has its own.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
