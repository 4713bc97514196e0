//go:build !linux

package disk

// FreeDescriptors returns how many more files this process may open. Unlimited where that
// is not known.
func FreeDescriptors() uint64 { return Unlimited }
