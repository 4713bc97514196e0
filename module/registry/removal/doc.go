// Package removal deletes the bytes of a registry that no file refers to.
//
// The reaper deletes condemned bytes as soon as their last file is deleted (reap.go). The
// sweep finds what nothing names, such as what a crash left between storing bytes and
// publishing them; it is careful, because it deletes what it cannot explain (sweep.go).
// Both wait while a backup reads (hold.go), and neither deletes anything while the metadata
// is older than the blobs, and does not name the newest of them (behind.go).
package removal
