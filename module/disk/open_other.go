//go:build !unix

package disk

import "os"

func openFile(name string, flags int) (*os.File, error) {
	return os.OpenFile(name, flags, FilePermissions)
}
