//go:build !linux && !windows

package disk

import "golang.org/x/sys/unix"

// blockSize returns the unit that blocks are counted in: the only size that
// statfs of BSD and macOS gives besides that of a good write (f_iosize).
func blockSize(stat *unix.Statfs_t) uint64 { return uint64(stat.Bsize) }
