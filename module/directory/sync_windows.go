package directory

// Sync does nothing: Windows has no way to sync a directory, and NTFS journals
// names by itself.
func Sync(string) error { return nil }
