// Package pull is the command that downloads all files of a version into a folder.
//
// A file has its name in the folder only after its SHA-256 was compared. Until then its bytes
// are in a file whose name ends in ,part, and the next run goes on from there.
package pull
