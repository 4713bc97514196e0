package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFreeOfADirectoryIsPlausible(t *testing.T) {
	free, err := Free(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if free.Bytes == 0 || free.Bytes > 1<<60 || free.Files == 0 {
		t.Errorf("free space is %+v", free)
	}
}

func TestFreeOfAMissingDirectoryIsAnError(t *testing.T) {
	if _, err := Free(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("no error")
	}
}

func TestIsFull(t *testing.T) {
	wrapped := fmt.Errorf("writing: %w", &os.PathError{Op: "write", Err: syscall.ENOSPC})
	if !IsFull(wrapped) {
		t.Error("ENOSPC is not seen as full")
	}
	if IsFull(os.ErrPermission) || IsFull(nil) {
		t.Error("another error is seen as full")
	}
}
