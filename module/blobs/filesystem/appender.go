package filesystem

import (
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// flushStep is after how many bytes the disk begins to work on them. Else it would
// be idle until the sync, and what is not written yet would fill the memory.
const flushStep = 8 << 20

// appender writes at the end of a file, as far as there is room for it.
type appender struct {
	file      disk.File
	allowance *allowance
	size      int64
	flushed   int64 // of size: the disk was told to write them
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
	bytes := a.size - a.flushed
	if bytes < flushStep {
		return nil
	}
	if err := a.file.Flush(a.flushed, bytes); err != nil {
		return fmt.Errorf("flushing file: %w", directory.NotWritten(err))
	}
	a.flushed = a.size
	return nil
}
