//go:build linux || darwin || freebsd

package bucket

import "syscall"

// mapBytes takes memory from the system.
func mapBytes(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

// unmapBytes gives it back. Whoever reads it from then on ends the process.
func unmapBytes(memory []byte) { _ = syscall.Munmap(memory) } // it fails for other slices only
