package tempdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// topOfTree is FS_TOPDIR_FL of Linux, which chattr calls T.
const topOfTree = 0x00020000

// spread asks for directories far from each other. Other file systems refuse, and need it not.
func spread(path string) {
	dir, err := os.Open(path)
	if err != nil {
		return
	}
	defer dir.Close()
	if flags, err := unix.IoctlGetInt(int(dir.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(int(dir.Fd()), unix.FS_IOC_SETFLAGS, flags|topOfTree)
	}
}
