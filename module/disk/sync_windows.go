package disk

// syncDirectory does nothing: Windows has no way to sync a directory, and NTFS journals
// names by itself.
func syncDirectory(string) error { return nil }
