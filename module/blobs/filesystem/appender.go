package filesystem

import (
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// flushStep is after how many bytes a sync in the background begins. Else the disk would be
// idle until the end, with all bytes to write then, and what is not written yet would fill
// the memory. To have the kernel begin with the writing (sync_file_range) is not enough:
// the disk has a cache, and to empty it takes a third of the time of an upload of 1 GiB.
const flushStep = 16 << 20

// appender writes at the end of a file, as far as there is room for it.
type appender struct {
	file      disk.File
	allowance *allowance
	size      int64
	flushed   int64 // of size: a sync of them began
}

// append writes bytes. After an error nobody knows what is in the file.
func (a *appender) append(p []byte) (int, error) {
	if err := a.allowance.need(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := a.file.Write(p)
	a.allowance.written(int64(n))
	a.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("writing file: %w", directory.NotWritten(err))
	}
	return n, a.flush()
}

// flush has the disk begin with what is there, once it is enough.
func (a *appender) flush() error {
	if a.size-a.flushed < flushStep {
		return nil
	}
	if err := a.file.Flush(); err != nil {
		return fmt.Errorf("flushing file: %w", directory.NotWritten(err))
	}
	a.flushed = a.size
	return nil
}
