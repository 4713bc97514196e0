// Package packs keeps small blobs, many in a file, each written once and where it stays:
//
//	<directory>/<number>   a pack: a table of slots, lines of a journal, and then content
//
// A slot has 32 bytes and describes one blob (package format). The content of a blob begins at a
// block of 4 KiB, so that a deletion gives whole blocks back. A pack takes 64 MiB of
// content, and as many blobs as there are blocks. Nothing that a client sends becomes a
// name, and the locator of a blob says its pack, its slot, and 112 random bits that are in
// the slot too.
//
// # How a blob is written
//
// All that wait at one moment are written in one round, to the pack that is written at that
// time: their content, one after the other; their slots; and then one sync makes all of it
// durable. Only then can they be read, walked and deleted, and only then their locators are
// told. The next round gathers meanwhile. A pack that is full is closed, and another begins:
// the name of a new pack is synced before anything is in it.
//
// The table of a new pack, and blocks ahead of the content in steps of 1 MiB, are prepared:
// zeros are written there, which the next sync makes durable too. So a later sync has
// nothing to change in what the file system keeps of the file, such as its size or which of
// its blocks were written: docs/performance.md has the times. Blocks that are only
// set aside (fallocate) do not, because their first write changes what they are.
//
// Opening goes on with the last pack, after the end of its file and of each blob that has a
// slot, which a power cut may make durable before the size of the file: no byte of a block
// that ever belonged to a blob is written again. After a kill that leaves out what was
// prepared, at most 1 MiB, and gives its blocks back.
//
// # How a publish takes one sync
//
// A small blob is durable together with the line of the journal that names it, where the
// journal is on the same file system (journal.Carrier). Put stages a blob: it writes content and
// slot. Where something has to be made first, such as a pack or prepared blocks, a round does
// that, and the blob is durable when Put returns. Carry writes lines behind those that the pack
// has, and syncs the pack. Where there is no place for them, it syncs the blobs alone, and the
// journal is synced. Lines begin anew, there or in another pack, when the journal has all before.
// The pack with the newest lines is not removed, even when all its blobs are deleted.
//
// After a power cut the journal adopts the lines that go on where it ends (Carried). The last
// ones count only if all blobs that they name in that pack are whole, or deleted since. These
// are written and synced once more: their sync may have failed, and the next one would not tell.
// Else the last lines are taken out: an entry without lines is written over them and synced, each
// time again that the journal is opened. Lines before the last ones were synced before those.
//
// After a sync that failed, blobs and lines may be on the disk or not. The slots of the staged
// blobs are emptied, so that the lines do not count, and no line is taken that names one of
// these blobs. Where lines were written, the journal takes none until it has been opened again.
//
// A blob that the last lines name is deleted as one that is put aside: its slot is marked and
// synced first. Else a hole without a mark would look like a blob that was never whole.
//
// # How a blob is read
//
// Slot and content are read from a pack that is open already, while nothing can take the
// blob away (pack.mu), and others are written. The reader has the bytes in memory, so it keeps
// them whatever is deleted. They are compared with the checksum in the slot: bytes that are not those that
// were written are damage, and reach nobody.
//
// # How a blob is deleted
//
// First nobody can read it any more, then its blocks are taken out of the file, then its
// slot is marked. None of it is synced, unless the last lines of a journal name the blob: what
// a power cut brings back nobody names, and the sweep removes it, with content or without. A
// kill between two steps leaves a slot with zeros for content, and whoever asked for the
// deletion asks again. A disk that is full may have no room to take note of a hole: the blocks
// stay, and the slot is marked. A file system that takes no blocks out of a file has zeros
// written there, once. A pack that is not being written, and has no blob left, is removed; so is
// a block of its table without one.
//
// A blob that is put aside is kept from others first (Drop): its slot is marked and synced
// before its blocks are taken out.
//
// A backup names a slot for ever, and an increment may name others. So no slot is used
// twice: the mark of a deleted one is not that of one never used, and the pack with the
// highest number stays, empty or not. One more stays until a slot of that pack is durable:
// a pack without any is removed at the next start, and its number given again.
//
// # What a crash leaves
//
// Of the round that was being written anything may be there: content without a slot, or a
// slot without its content. Nobody was told of the locators of that round, so no record
// names them. They need no mark: opening lists the blobs of the last pack (Recovered), and
// package registry removes those without a name. A slot that was acknowledged and does not
// have its content any more is damage. Both are told apart by whether they are named, so a
// damaged blob is never taken for a torn one.
//
// Slots lie within sectors of the disk, and a sector is written whole or not at all. A slot
// that does not pass its checksum is therefore damage: it stays, and its pack with it,
// until the blob is deleted or put aside.
//
// A block of a table that the disk cannot read costs the blobs of its slots, for as long as it
// cannot. All of its slots are taken for those of blobs, and the pack is given up. A table of
// which no block can be read is the fault of more than a sector: the store is not opened.
//
// Blocks that belong to no blob, because of a power cut or a full disk, are given back when
// the store opens, if the file takes more of the disk than its blobs do.
//
// # A write or a sync that fails
//
// A failed sync is never tried again: the kernel may have dropped what it could not write,
// and the next sync then succeeds although the data is lost. Those who wait for the round
// are told of the error. The pack is given up: no blob is written to it until the store was
// opened again and its table was read. What had been acknowledged before was durable, and
// stays readable. The next round begins another pack, with a name of its own. The slots of
// the failed round are marked as deleted as far as possible; nobody names them.
//
// A round is written only while the open file is the pack that its name finds. Where another
// file has its name, as after a mount over the directory, blobs are refused until the pack is
// back. A pack that was removed is given up, and another one is begun.
//
// A write of content that fails changes nothing: there is no slot. So a full disk refuses
// blobs, and costs no pack.
package packs
