//go:build !linux

package disk

import "os"

func syncBytes(file *os.File) error { return file.Sync() }
