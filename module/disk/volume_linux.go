package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// syncing are the file systems whose syncfs(2) makes everything durable, as their
// sources say. Others, such as those in user space, may write and not sync.
var syncing = []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC}

type volume struct{ *os.File }

// openVolume keeps one descriptor for all syncs: errors of writing since it was opened,
// or since the last sync of it, are what a sync reports.
func openVolume(path string) (Volume, error) {
	if !reportsErrors(release()) {
		return nil, fmt.Errorf("syncing a file system before Linux 5.17: %w", errors.ErrUnsupported)
	}
	directory, err := Open(path)
	if err != nil {
		return nil, err
	}
	var stat unix.Statfs_t
	if err := uninterrupted(func() error { return unix.Fstatfs(int(directory.Fd()), &stat) }); err != nil {
		return nil, errors.Join(&os.PathError{Op: "fstatfs", Path: path, Err: err}, directory.Close())
	}
	if !slices.Contains(syncing, int64(stat.Type)) {
		return nil, errors.Join(fmt.Errorf("syncing a file system of type %#x: %w", stat.Type, errors.ErrUnsupported), directory.Close())
	}
	return volume{directory}, nil
}

// Sync implements Volume.
func (v volume) Sync() error {
	if err := uninterrupted(func() error { return unix.Syncfs(int(v.Fd())) }); err != nil {
		return &os.PathError{Op: "syncfs", Path: v.Name(), Err: err}
	}
	return nil
}

// release returns the kernel's release, such as 6.1.0-18-amd64, or nothing.
func release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// reportsErrors tells whether syncfs(2) of a kernel says what could not be written.
// Since Linux 5.8 it tells of pages; only since 5.17 of what the file system itself
// says when it commits names ("vfs: make sync_filesystem return errors from ->sync_fs").
func reportsErrors(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 5 || major == 5 && minor >= 17
}
