// Package disk is the file system behind an interface: the steps of a write that can fail
// and must fail safely, and the free space.
package disk
