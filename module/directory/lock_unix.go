//go:build unix

package directory

import (
	"os"

	"github.com/gofrs/flock"
)

// lockItself locks the directory beside the lock file in it, which somebody may remove:
// whoever meets the directory by another name meets this lock all the same.
func lockItself(path string) (*flock.Flock, bool, error) {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	locked, err := lock.TryLock()
	return lock, locked, err
}
