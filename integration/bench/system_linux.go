package main

import (
	"io/fs"
	"syscall"
)

// syncDisks waits until all that was written is on the disks.
func syncDisks() { syscall.Sync() }

// allocated is how many bytes a file takes on the disk.
func allocated(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512 // st_blocks has this unit on every file system
	}
	return info.Size()
}
