//go:build !windows

package directory

import (
	"errors"
	"fmt"
	"os"
)

// Sync makes the names in a directory durable. An error must not be retried: the
// next call may succeed though the names are lost.
func Sync(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening directory to sync it: %w", err)
	}
	if err := errors.Join(directory.Sync(), directory.Close()); err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	return nil
}
