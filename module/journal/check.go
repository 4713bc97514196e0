package journal

import (
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// Check reports ErrUnavailable when the active segment was removed or replaced: what is
// appended then goes into a file that nobody finds again. It must not run beside Append.
func (j *Journal) Check() error {
	if err := disk.StillNamed(j.file, j.active.Path(j.path)); err != nil {
		return fmt.Errorf("%w: changes of the last second may be in no other file", err)
	}
	return nil
}
