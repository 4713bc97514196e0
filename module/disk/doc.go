// Package disk is the file system as stores use it: the steps of a write that can
// fail and must fail safely, and how much room there is.
package disk
