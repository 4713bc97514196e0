// Package badger keeps the registry's metadata in an embedded Badger database.
//
// The journal (package journal) is the truth. The database is an index of it, which may be
// lost at any time and is then made again.
//
// # What is written in which order
//
//  1. The committer takes the changes of a round (package rounds), and applies them one after
//     the other to a layer of records (commit.go, batch.go). Each change is decided here: done
//     or refused.
//  2. It appends the changes to the journal, with one sync for all of them, and for the small
//     files that they name where packs carry lines (journal.Carrier).
//  3. It commits the layer: from now on all reads see it (database.go, layer.go). Everybody
//     is answered.
//  4. The database is given the layers that it does not have, every 50 ms, or at once when
//     somebody waits, in synced transactions of about half a MiB (persist.go). With each go
//     the journal's position and sums over all records (state.go).
//  5. The reaper is told of condemned bytes once the database has their deletion.
//
// So the database is never ahead of the journal, and what it lacks is bounded. The journal's
// sync is the only one that a publish waits for; BenchmarkPublishFile compares that with a
// publish that waits for the database.
//
// Badger's transactions are numbered here (its "managed" mode): a read begins with the last
// transaction that is over and the layers after it. With Badger's own numbers it would wait
// for the transaction in progress, and so for the disk.
//
// A checkpoint of the journal is made beside all this, from a snapshot that is read in pages,
// when the changes after the last checkpoint are many (checkpoint.go, checkpoint_lines.go). The
// scrub reads the journal's files too. While the database is whole, a new checkpoint stands for
// a damaged file, which is then moved away.
//
// # What a crash leaves
//
// The database is some layers behind the journal. Opening (open.go, opened.go) brings it to
// the journal's end:
//
//   - A database that is where the journal is: nothing is done if the file checked beside it
//     says of exactly this manifest that no record is lost (checked.go), and at most one
//     memtable's log is left. Otherwise all records are compared with each other, because Badger can lose
//     tables and memtables from the middle without a word.
//   - A database that is behind: the lines that it lacks are replayed, through the code that
//     made the changes (replay.go).
//   - A database that is missing: it is made from the newest checkpoint that is whole and
//     the changes after it (checkpoint_read.go).
//   - A database with positive evidence of damage: a table that does not pass its checksum, a
//     cut manifest (preflight.go), sums that do not hold, or a damaged record in the way of
//     a replay. The journal is read whole, and then Badger's files are moved to
//     damaged-<time> and a new database is made from the journal (rebuild.go). While the
//     disk does not read the journal, that is tried again.
//   - A database that Badger does not open, without such evidence: Badger's errors do not
//     tell damage from a file that cannot be opened now. It is tried again, ever more
//     seldom: a store that was open, every ten seconds at least. Nothing is moved.
//   - A database that is ahead of its journal, or of another history, or a journal with a
//     hole: ErrDamaged, which says what was found and which command helps.
//
// On a file system that takes no writes the tables are opened alone, through links, and
// what they lack is replayed in memory (read_only.go).
//
// What Badger reads out of a memtable's log after a kill need not be on disk. So changes are
// taken only when such logs have become tables.
//
// An opening has no deadline, because Badger ignores them. The caller stops waiting, and the
// opening goes on.
//
// # When something fails
//
// Everything with Badger between opening and closing happens in database.touch. After the
// first failure or panic nobody touches Badger again: a memtable that could not be made
// leaves a nil pointer behind, which would end the process, and a failed sync is not heard
// of twice. Committed layers can still be read.
//
// After that, and after an append to the journal with an unknown outcome, the store takes no
// changes. watch.go probes the disk and opens again what failed: the journal under a
// database that is good and stays open, or both. The journal decides what was stored. If
// Badger hangs or panics while it opens or closes, it may go on writing: then only a new
// process opens the database again.
//
// # What Badger does not promise
//
// Badger 4.9.6 deletes the tables that a compaction was made of even if it could not create
// one of the new tables. So package compactions counts the tables that Badger logs before it
// makes them, and those that its manifest then has. Before anything is decided by a record
// that is not there, both must agree; else compactions in progress are waited for, or all
// records are compared (compaction_check.go, comparison.go).
//
// After a compaction that failed, as when a table that was merged cannot be removed, Badger
// goes on with tables in memory that its manifest does not have. No compaction merges them
// any more, and what was deleted in newer tables shows again. So such a compaction fails
// the database, which is closed at once: Badger would try the same compaction for ever.
//
// Badger writes to mapped files, where a block that is missing kills the process. So
// memtables get their blocks before Badger gets them, and no change is taken below 48 MiB
// of free space, which is what a compaction of the youngest tables may write before it
// deletes them (space.go).
//
// Badger fails when it cannot open the next memtable's log. So uploads end while the
// process may still open 32 files, and some are held back and lent to what may begin a
// file of the database or of the journal (package descriptors).
package badger
