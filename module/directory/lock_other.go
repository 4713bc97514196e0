//go:build !unix

package directory

import "github.com/gofrs/flock"

// lockItself does nothing where a file that is locked cannot be removed.
func lockItself(path string) (*flock.Flock, bool, error) { return flock.New(path), true, nil }
