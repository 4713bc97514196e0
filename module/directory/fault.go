package directory

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// isShort tells whether the system refused for want of something that comes back:
// descriptors or memory.
func isShort(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// Full adds store.ErrNoSpace to what a full disk says, and store.ErrUnavailable to
// what a system says that is short of descriptors or memory.
func Full(err error) error {
	if isShort(err) && !errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if disk.IsFull(err) {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}

// NotWritten judges an error of a write that changes nothing anybody knows of: ErrNoSpace, or
// ErrUnavailable where the system refuses, such as a disk that fails or was made read-only.
func NotWritten(err error) error {
	err = Full(err)
	if errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUnavailable) || !disk.IsRefusal(err) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// ReserveFiles is how many more files a file system must take before anything is
// published: uploads leave so many for deletes, and for what a store writes itself.
const ReserveFiles = 1000

// Enough reports ErrNoSpace when the file system of a directory has less room than is
// needed, in bytes and files, and ErrUnavailable when it does not say.
func Enough(fsys disk.FS, path string, bytes, files uint64) error {
	free, err := fsys.Free(path)
	switch {
	case err != nil:
		return UnknownRoom(err)
	case free.Bytes < bytes:
		return fmt.Errorf("%w: %s has %s, it needs %s", store.ErrNoSpace, path, humanize.IBytes(free.Bytes), humanize.IBytes(bytes))
	case free.Files < files:
		return fmt.Errorf("%w: the file system of %s takes %d more files (inodes), it needs to take %d", store.ErrNoSpace, path, free.Files, files)
	}
	return nil
}

// UnknownRoom judges why a file system does not say how much room it has: ErrNoSpace when
// it calls itself full, else ErrUnavailable.
func UnknownRoom(err error) error {
	kind := store.ErrUnavailable
	if disk.IsFull(err) {
		kind = store.ErrNoSpace
	}
	return fmt.Errorf("%w: asking for free space: %w", kind, err)
}

// Space is the room of a store in a directory.
func Space(free disk.Space, reserve int64) store.Space {
	space := store.Space{Free: free.Bytes, Reserve: uint64(reserve), FreeFiles: free.Files, ReserveFiles: ReserveFiles}
	if free.Files == disk.Unlimited {
		space.FreeFiles, space.ReserveFiles = 0, 0
	}
	return space
}

// OpenFault judges an error of opening a store: whatever may pass while the configuration
// stands (store.IsState) is ErrUnavailable, unless it says more exactly what it is.
func OpenFault(err error) error {
	err = Full(err)
	if err == nil || !store.IsState(err) {
		return err
	}
	for _, exact := range []error{store.ErrNoSpace, store.ErrDamaged, store.ErrUnavailable} {
		if errors.Is(err, exact) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
