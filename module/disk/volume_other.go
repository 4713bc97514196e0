//go:build !linux

package disk

import (
	"errors"
	"fmt"
)

// openVolume has nothing to offer: only Linux has a call that reports errors.
func openVolume(string) (Volume, error) {
	return nil, fmt.Errorf("syncing a file system: %w", errors.ErrUnsupported)
}
