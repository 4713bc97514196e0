package disk

import (
	"errors"
	"os"
)

// osFile is a file of the machine, with a sync of it that may be in progress.
type osFile struct {
	*os.File
	flushing chan error // of that sync: it gets its result; nil: none
}

// Flush implements File.
func (f *osFile) Flush() error {
	select {
	case err := <-f.flushing:
		f.flushing = nil
		if err != nil {
			return err
		}
	default:
	}
	if f.flushing == nil {
		done := make(chan error, 1)
		go func() { done <- syncBytes(f.File) }()
		f.flushing = done
	}
	return nil
}

// flushed waits for what Flush began. The system tells an error of the disk once, so the
// error of that sync is the error of the file.
func (f *osFile) flushed() error {
	if f.flushing == nil {
		return nil
	}
	err := <-f.flushing
	f.flushing = nil
	return err
}

// Sync implements File.
func (f *osFile) Sync() error {
	if err := f.flushed(); err != nil {
		return err
	}
	return syncBytes(f.File)
}

// Close implements File. It waits, because the descriptor may be another file's afterwards.
func (f *osFile) Close() error { return errors.Join(f.flushed(), f.File.Close()) }
