// Package backup makes backups of a registry while it is used, copies them, and restores
// them.
//
// A backup is a tar file: a head, the lines of the journal since the backup that it
// continues (or of a checkpoint and what follows), the bytes of the files that they
// publish, and an end that counts both. The head and the chain of the lines tell whether
// backups belong together, the digests whether the bytes are good.
package backup
