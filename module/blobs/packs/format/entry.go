package format

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Entry is the lines of one sync. On the disk it is, in little-endian order: the CRC-32C of
// the store's ID and of what follows (4 bytes), the number of bytes of the lines (4), the number
// of the blobs (4), the number of the first line (8), the slots of the blobs (2 each), and the
// lines. One without lines ends the others: what was there was taken out.
type Entry struct {
	Store string // ID of the store whose lines these are
	First uint64 // the number of the first line
	Slots []uint16
	Lines []byte
}

// EntryHeader is how many bytes of an entry come before its slots.
const EntryHeader = 20

// Last is the number of the last line.
func (e Entry) Last() uint64 { return e.First + uint64(bytes.Count(e.Lines, []byte("\n"))) - 1 }

// Size is how many bytes it takes on the disk.
func (e Entry) Size() int64 { return int64(EntryHeader + 2*len(e.Slots) + len(e.Lines)) }

// Encode returns an entry as it is on the disk.
func (e Entry) Encode() []byte {
	buffer := make([]byte, 4, e.Size()+EntryHeader) // what ends it may follow
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(e.Lines)))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(e.Slots)))
	buffer = binary.LittleEndian.AppendUint64(buffer, e.First)
	for _, slot := range e.Slots {
		buffer = binary.LittleEndian.AppendUint16(buffer, slot)
	}
	buffer = append(buffer, e.Lines...)
	binary.LittleEndian.PutUint32(buffer, sumOf(e.Store, buffer[4:]))
	return buffer
}

// Entries are those of a store that come one after the other.
type Entries struct {
	List    []Entry
	Size    int64 // on the disk
	IsEnded bool  // by Ending
}

// Ending is an entry without lines as it is on the disk, which is written over one that is taken
// out.
func Ending(of string) []byte { return Entry{Store: of}.Encode() }

// DecodeEntries reads the entries of a store. Those behind them are older, where a power cut came
// before they were written over.
func DecodeEntries(raw []byte, of string) (entries Entries) {
	for {
		e, sound := decodeEntry(raw[entries.Size:], of)
		if entries.IsEnded = sound && len(e.Lines) == 0; !sound || entries.IsEnded {
			return entries
		}
		if last := len(entries.List) - 1; last >= 0 && e.First <= entries.List[last].First {
			return entries
		}
		entries.List, entries.Size = append(entries.List, e), entries.Size+e.Size()
	}
}

// decodeEntry reads the entry that bytes begin with. Not sound is one that was not written, or not
// as a whole.
func decodeEntry(raw []byte, of string) (e Entry, sound bool) {
	if len(raw) < EntryHeader {
		return e, false
	}
	lines, slots := int64(binary.LittleEndian.Uint32(raw[4:])), int64(binary.LittleEndian.Uint32(raw[8:]))
	end := EntryHeader + 2*slots + lines
	if end > int64(len(raw)) || sumOf(of, raw[4:end]) != binary.LittleEndian.Uint32(raw) {
		return e, false
	}
	e.Store, e.First = of, binary.LittleEndian.Uint64(raw[12:])
	for i := range slots {
		e.Slots = append(e.Slots, binary.LittleEndian.Uint16(raw[EntryHeader+2*i:]))
	}
	e.Lines = raw[EntryHeader+2*slots : end]
	return e, true
}

func sumOf(id string, bytes []byte) uint32 {
	return crc32.Update(Sum([]byte(id)), castagnoli, bytes)
}
