// Package journal keeps the changes of a metadata store as lines of JSON, each
// chained to the one before, in files that a person can read. It is the truth that
// the database is made from when it is behind, damaged or gone.
//
// # Files
//
//	<first>.jsonl                           the active segment: changes are appended to it
//	<first>-<last>.jsonl.gz                 a sealed segment
//	checkpoint-<last>-<records>.jsonl.gz    what there was after a change, as lines
//
// A line ends with its chain: the SHA-256 of the chain before it and of the line. So a line
// that was changed, left out, added or moved shows. The chain has no key: whoever can write
// the files can make another chain, which only a copy elsewhere tells from the first.
//
// # What is written in which order
//
// Append writes the lines of many changes at once and syncs them. The blocks of a segment
// are set aside when it is made, so an append needs no free space. Up to 64 KiB behind the
// lines of the active segment are tabs, which the next lines are written over: then a sync
// writes the lines and no more. JSON takes tabs for nothing, and closing cuts them off.
//
// A carrier (Carrier) may make lines durable together with the bytes that they name. Then they
// are written here too, and not synced. The next sync of the journal makes them durable here:
// it comes at the latest before the segment is sealed.
//
// A segment is complete under its own name, or not there: its head and first lines are
// written to a temporary file and synced, the file gets its name, the directory is synced.
// A full segment (4 MiB) is sealed when the next one has its name. It is compressed beside
// the appends, and the plain file is removed once the name of the compressed one is
// durable.
//
// A checkpoint is made beside the appends too, from a snapshot. It is synced and named like
// a segment. The two newest checkpoints are kept, with the segments that follow the older
// one. Older segments are removed when the newer checkpoint is durable.
//
// # What a crash leaves
//
// Lines that were not synced may be cut, or have tabs or zeros where a sector of the disk was
// not written. Begin removes them. Nobody was told of them, or the carrier has them: Open
// adopts the lines that the carrier has and that go on where the journal ends. A
// bad line elsewhere is damage: each line says up to which change the journal was synced
// when it was written (synced), so a later line tells damage from the remains of a crash.
// What the disk does not read is not taken for the remains of a crash.
// The last segment is written anew whenever a journal is opened: the sync of its last lines
// may have failed, and a later sync would not tell.
//
// # A sync that fails
//
// After a failed sync of an append, nobody knows what is on the disk. Append says
// ErrUnclear, and the journal takes nothing until Reopen has read the last segment and
// written it anew. A write that failed is cut off again; only if that fails too, or if the
// carrier has the lines, is the outcome unclear.
package journal
