//go:build !windows

package disk

import (
	"errors"
	"fmt"
)

// syncDirectory opens the directory anew each time, so that an error reaches the
// caller who waits for it.
func syncDirectory(path string) error {
	directory, err := Open(path)
	if err != nil {
		return fmt.Errorf("opening directory to sync it: %w", err)
	}
	if err := errors.Join(directory.Sync(), directory.Close()); err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	return nil
}
