// Package filesystem keeps the bytes of blobs in plain files in a directory:
//
//	packs                  small blobs, many in a file: package packs tells how
//	<directory>/<random>   the bytes of a larger blob, under the name that its locator says
//	tmp                    larger blobs that are being written
//	uploads/<id>           sessions: uploads that come in several requests
//	quarantine             damaged blobs
//
// About 10,000 blobs share a directory, so that publishes of one moment can share one sync
// of it. Nothing that a client sends becomes a name.
//
// # How a blob is written
//
// testdata/steps.txt lists the steps of every write in their order. All of them go through
// disk.FS, so that tests can fail each one (go test ./module/blobs/filesystem -run
// TestSteps -update writes the list again; read the difference).
//
// A blob that is announced to have at most 64 KiB is gathered in memory, and goes into a
// pack. Any other is written to tmp. The disk begins to write after each 8 MiB. Commit
// syncs the file, renames it to its place, and syncs the directory of its place. Commits
// that need the same directory synced share one sync. A small blob of a backup of another
// store, whose locator is of no pack, is written so too.
//
// The bytes of a session lie in their place from the beginning. The file of the session
// says how many of them are durable, with the state of their hash. Save syncs the bytes,
// and then replaces that file as a whole. What lies beyond the saved offset is cut off when
// the upload goes on. The end of the upload moves nothing: its record names the place.
//
// # What a crash leaves
//
// Files in tmp were never named: opening removes them. What it leaves of packs, package
// registry asks for (Recovered): what has no name is removed.
//
// # A sync that fails
//
// A failed sync is never tried again on the same file: the kernel may have dropped what it
// could not write, and the next sync then succeeds although the data is lost. The Commit
// that waited for the sync fails, and what the sync was for is made again: a directory is
// removed and made anew, and another pack is begun.
//
// The sync of a directory may lose the names of other blobs too: a Commit whose name was
// given before a sync that failed meanwhile is refused. Package entries tells how.
package filesystem
