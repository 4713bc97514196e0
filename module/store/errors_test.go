package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// TestTemporaryErrorsAreNoConfigurationFault: this holds for every error of an opening, at any
// depth of wrapping.
func TestTemporaryErrorsAreNoConfigurationFault(t *testing.T) {
	at := func(err error) error {
		return fmt.Errorf("opening metadata: %w", errors.Join(errors.New("closing"), &os.PathError{Op: "open", Err: err}))
	}
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, ErrNoSpace, ErrDamaged, ErrUnavailable,
		syscall.EIO, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS, syscall.EISDIR,
		errors.New("what nobody thought of"), fmt.Errorf("%w: %w", context.DeadlineExceeded, ErrLocked),
	} {
		if !IsState(at(err)) {
			t.Errorf("%v fails the start", err)
		}
	}
	for _, err := range []error{ErrLocked, ErrMismatch, ErrFormat, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR} {
		if IsState(at(err)) {
			t.Errorf("%v does not fail the start", err)
		}
	}
}
