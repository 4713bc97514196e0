// Package filesystem keeps the bytes of blobs in plain files in a directory:
//
//	<directory>/<random>   the bytes of a blob, under the name that its locator says
//	tmp                    large blobs that are being written
//	uploads/<id>           sessions: uploads that come in several requests
//	wal/<number>           segments of the log: small blobs a second time
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
// A large blob is written to tmp. The disk begins to write after each 8 MiB. Commit syncs
// the file, renames it to its place, and syncs the directory of its place. Commits that
// need the same directory synced share one sync.
//
// A small blob, of at most 64 KiB, is written to its place without a sync, and appended to
// a segment of the log. One sync of the segment serves all blobs that are committed at
// that moment. A segment is settled when it is full (16 MiB), or old (30 seconds, or 5
// seconds after a deletion, because the deleted bytes may be in it): its files are synced
// together, by syncfs(2) where that can be relied on, and then the segment is emptied,
// synced and removed. Where no segment can be made, or two wait for a slow disk, a small
// blob is synced as a large one is.
//
// The bytes of a session lie in their place from the beginning. The file of the session
// says how many of them are durable, with the state of their hash. Save syncs the bytes,
// and then replaces that file as a whole. What lies beyond the saved offset is cut off when
// the upload goes on. The end of the upload moves nothing: its record names the place.
//
// # What a crash leaves
//
// Files in tmp were never named: opening removes them.
//
// Files of the log may be torn in their places, or not be there at all. Opening writes
// every blob in the log to its place again, whatever is there, makes them durable, and
// removes the log. A segment ends where no head of an entry is: the last append may be cut,
// and nobody was told of it. An entry whose content does not pass its checksum is left
// out; its file may be whole. A blob that was deleted in the meantime comes back without a
// name: package registry asks what came back (Recovered), and removes it.
//
// # A sync that fails
//
// A failed sync is never tried again on the same file: the kernel may have dropped what it
// could not write, and the next sync then succeeds although the data is lost. The Commit
// that waited for the sync fails, and what the sync was for is made again: a directory is
// removed and made anew; the files of a segment are written again before they are synced.
//
// The sync of one directory, or of the whole file system, may lose the names of other
// blobs too. So the log counts failed syncs (its epoch). A Commit whose name was given
// before a sync that failed meanwhile is refused, and a segment that was written before it
// is written anew when it is settled.
package filesystem
