package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatFailsInTheBackgroundIsTheErrorOfTheFile, at the next call that can tell it, and the
// sync in the background has ended then. Seen to fail with a Sync, and with a Close, that do
// not wait for it.
func TestWhatFailsInTheBackgroundIsTheErrorOfTheFile(t *testing.T) {
	errDisk := errors.New("input/output error")
	for _, test := range []struct {
		name string
		call func(File) error
		wait bool // the call comes before the result
	}{
		{"a flush", File.Flush, false},
		{"a sync", File.Sync, false},
		{"a sync that waits", File.Sync, true},
		{"a close", File.Close, false},
		{"a close that waits", File.Close, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := OS{}.Create(filepath.Join(t.TempDir(), "file"))
			if err != nil {
				t.Fatal(err)
			}
			failing := make(chan error)
			if !test.wait {
				failing = make(chan error, 1)
				failing <- errDisk
			} else {
				go func() { failing <- errDisk }()
			}
			file.(*osFile).flushing = failing
			if err := test.call(file); !errors.Is(err, errDisk) {
				t.Errorf("error is %v, want %v", err, errDisk)
			}
			if err := file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Errorf("closing says %v, want the error once", err)
			}
		})
	}
}

// TestAFlushSyncsInTheBackground: a pipe can be written and not synced, so the sync fails.
// Seen to fail with a Flush that does nothing.
func TestAFlushSyncsInTheBackground(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	file := &osFile{File: writer}
	if err := file.Flush(); err != nil {
		t.Errorf("beginning says %v, want nil", err)
	}
	if err := file.Close(); err == nil {
		t.Error("closing says nil, want the error of the sync")
	}
}
