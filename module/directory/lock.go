package directory

import (
	"errors"
	"fmt"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// takeLock opens a file, which it makes if flag says so, and locks it against other processes
// and against other stores of this one: ErrLocked. The lock ends when the file is closed, with
// no call in between that could fail and leave it locked.
func takeLock(path string, flag int) (*os.File, error) {
	file, err := os.OpenFile(path, flag, disk.FilePermissions)
	if err != nil {
		return nil, err
	}
	locked, err := lock(file)
	if err == nil && !locked {
		err = fmt.Errorf("%w: %s", store.ErrLocked, path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
