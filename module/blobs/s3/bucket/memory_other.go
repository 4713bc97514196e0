//go:build !linux && !darwin && !freebsd

package bucket

func mapBytes(size int) ([]byte, error) { return make([]byte, size), nil }

func unmapBytes([]byte) {}
