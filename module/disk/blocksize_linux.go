package disk

import "golang.org/x/sys/unix"

// blockSize returns the unit that blocks are counted in. It is the fragment size
// (POSIX, statvfs); the other one is the size of a good write, and is larger on
// some network and FUSE file systems.
func blockSize(stat *unix.Statfs_t) uint64 {
	if stat.Frsize > 0 {
		return uint64(stat.Frsize)
	}
	return uint64(stat.Bsize)
}
