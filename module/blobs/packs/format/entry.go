package format

import (
	"bytes"
	"encoding/binary"
)

// Entry is the lines of one sync. On the disk it is, in little-endian order: the CRC-32C of
// what follows (4 bytes), the number of bytes of the lines (4), that of the blobs (4), the
// number of the first line (8), the slots of the blobs (2 each), and the lines.
type Entry struct {
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
	buffer := make([]byte, 4, e.Size())
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(e.Lines)))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(e.Slots)))
	buffer = binary.LittleEndian.AppendUint64(buffer, e.First)
	for _, slot := range e.Slots {
		buffer = binary.LittleEndian.AppendUint16(buffer, slot)
	}
	buffer = append(buffer, e.Lines...)
	binary.LittleEndian.PutUint32(buffer, Sum(buffer[4:]))
	return buffer
}

// DecodeEntries reads the entries that come one after the other. Those behind them are older, and
// were not written over yet.
func DecodeEntries(raw []byte) (entries []Entry) {
	for {
		e, rest, sound := decodeEntry(raw)
		if !sound || len(entries) > 0 && e.First <= entries[len(entries)-1].First {
			return entries
		}
		entries, raw = append(entries, e), rest
	}
}

// decodeEntry reads the entry that bytes begin with, and returns what follows it. Not sound is
// one that was not written, or not as a whole.
func decodeEntry(raw []byte) (e Entry, rest []byte, sound bool) {
	if len(raw) < EntryHeader {
		return e, nil, false
	}
	lines, slots := int64(binary.LittleEndian.Uint32(raw[4:])), int64(binary.LittleEndian.Uint32(raw[8:]))
	end := EntryHeader + 2*slots + lines
	if end > int64(len(raw)) || Sum(raw[4:end]) != binary.LittleEndian.Uint32(raw) {
		return e, nil, false
	}
	e.First = binary.LittleEndian.Uint64(raw[12:])
	for i := range slots {
		e.Slots = append(e.Slots, binary.LittleEndian.Uint16(raw[EntryHeader+2*i:]))
	}
	e.Lines = raw[EntryHeader+2*slots : end]
	return e, raw[end:], true
}
