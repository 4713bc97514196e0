package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Check reports ErrUnavailable when the active segment was removed or replaced: what is
// appended then goes into a file that nobody finds again. It must not run beside Append.
func (j *Journal) Check() error {
	file, ok := j.file.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil
	}
	was, err := file.Stat()
	if err != nil {
		return fmt.Errorf("%w: asking for the journal: %w", store.ErrUnavailable, err)
	}
	name := j.active.path(j.path)
	now, err := os.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: asking for the journal: %w", store.ErrUnavailable, err)
	}
	if err != nil || !os.SameFile(was, now) {
		return fmt.Errorf("%w: %s was removed or replaced while it is in use; put it back: changes of the last second may be in no other file", store.ErrUnavailable, name)
	}
	return nil
}
