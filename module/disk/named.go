package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var errAnother = errors.New("another file has its name")

// StillNamed reports ErrUnavailable when a file that is open was removed or replaced: what is
// written to it then nobody finds again. The error is fs.ErrNotExist too where nothing has
// the name. Of a file that says nothing of itself it reports nothing.
func StillNamed(open File, name string) error {
	file, ok := open.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil
	}
	was, err := file.Stat()
	if err != nil {
		return fmt.Errorf("%w: asking for an open file: %w", store.ErrUnavailable, err)
	}
	now, err := os.Stat(name)
	if err == nil && os.SameFile(was, now) {
		return nil
	}
	if err == nil {
		err = errAnother
	}
	return fmt.Errorf("%w: %s was removed or replaced while it is in use; put it back: %w", store.ErrUnavailable, name, err)
}
