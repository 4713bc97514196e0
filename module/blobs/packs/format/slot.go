// Package format says how a pack is written on the disk, byte by byte: the name of its file, the
// locators and the slots of its blobs, and the entries of its lines. Package packs says what is
// written when.
package format

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"
)

const (
	// SlotSize is how many bytes a slot has.
	SlotSize  = 32
	nonceSize = 14

	// BlockSize is how many bytes a block has. The content of a blob begins at one.
	BlockSize = 4096

	// Largest is the most bytes of a blob in a pack.
	Largest = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the checksum of bytes, CRC-32C.
func Sum(content []byte) uint32 { return crc32.Checksum(content, castagnoli) }

// Nonce is the random bits of a locator.
type Nonce [nonceSize]byte

// Slot describes one blob. On the disk it is, in little-endian order: the nonce of its
// locator (14 bytes), the block that its content begins at (2), the length of the content
// (4), when it was written, in seconds since 1970 (4), the checksum of the content (4), and
// that of the slot (4). Both are CRC-32C. A slot of zeros was never used, as far as the disk
// knows, and one of ones had a blob that is deleted: it is not used again.
type Slot struct {
	Nonce   Nonce
	Block   int
	Length  int
	Written time.Time
	Sum     uint32 // of the content
}

// Encode appends a slot as it is on the disk.
func (s Slot) Encode(buffer []byte) []byte {
	start := len(buffer)
	buffer = append(buffer, s.Nonce[:]...)
	buffer = binary.LittleEndian.AppendUint16(buffer, uint16(s.Block))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(s.Length))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(s.Written.Unix()))
	buffer = binary.LittleEndian.AppendUint32(buffer, s.Sum)
	return binary.LittleEndian.AppendUint32(buffer, Sum(buffer[start:]))
}

// DecodeSlot reads a slot that is not empty, and tells whether it passes its checksum.
func DecodeSlot(raw []byte) (s Slot, sound bool) {
	copy(s.Nonce[:], raw)
	s.Block = int(binary.LittleEndian.Uint16(raw[14:]))
	s.Length = int(binary.LittleEndian.Uint32(raw[16:]))
	s.Written = time.Unix(int64(binary.LittleEndian.Uint32(raw[20:])), 0)
	s.Sum = binary.LittleEndian.Uint32(raw[24:])
	sound = binary.LittleEndian.Uint32(raw[28:]) == Sum(raw[:28])
	return s, sound && s.Length <= Largest
}

// Blocks is how many blocks some bytes take.
func Blocks(length int) int { return (length + BlockSize - 1) / BlockSize }

// DeletedSlot is the slot of a blob that is deleted.
var DeletedSlot = [SlotSize]byte(bytes.Repeat([]byte{0xff}, SlotSize))

// flips is how many bits may be others than they were written, in a slot without a blob. One
// with a blob has 112 random bits, and is not that close to it.
const flips = 16

// IsEmpty tells whether a slot was never used.
func IsEmpty(raw []byte) bool { return ones(raw) <= flips }

// IsDeleted tells whether a slot is that of a blob that is deleted.
func IsDeleted(raw []byte) bool { return ones(raw) >= 8*SlotSize-flips }

func ones(raw []byte) (count int) {
	for i := 0; i < SlotSize; i += 8 {
		count += bits.OnesCount64(binary.LittleEndian.Uint64(raw[i:]))
	}
	return count
}
