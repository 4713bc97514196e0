package main

import "syscall"

// syncDisks waits until all that was written is on the disks.
func syncDisks() { syscall.Sync() }
