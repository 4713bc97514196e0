package disk

import "path/filepath"

// IsReadOnly tells whether a file system takes no writes, as one that is mounted so.
func IsReadOnly(string) bool { return false }

// AreOnOne tells whether two directories are on one file system: on Windows, one volume.
func AreOnOne(a, b string) bool { return filepath.VolumeName(a) == filepath.VolumeName(b) }
