package packs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"
)

const (
	slotSize  = 32
	nonceSize = 14

	blockSize = 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type nonce [nonceSize]byte

// slot describes one blob. On the disk it is, in little-endian order: the nonce of its
// locator (14 bytes), the block that its content begins at (2), the length of the content
// (4), when it was written, in seconds since 1970 (4), the checksum of the content (4), and
// that of the slot (4). Both are CRC-32C. A slot of zeros was never used, as far as the disk
// knows, and one of ones had a blob that is deleted: it is not used again.
type slot struct {
	nonce   nonce
	block   int
	length  int
	written time.Time
	sum     uint32 // of the content
}

func (s slot) encode(buffer []byte) []byte {
	start := len(buffer)
	buffer = append(buffer, s.nonce[:]...)
	buffer = binary.LittleEndian.AppendUint16(buffer, uint16(s.block))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(s.length))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(s.written.Unix()))
	buffer = binary.LittleEndian.AppendUint32(buffer, s.sum)
	return binary.LittleEndian.AppendUint32(buffer, crc32.Checksum(buffer[start:], castagnoli))
}

// decodeSlot reads a slot that is not empty, and tells whether it passes its checksum.
func decodeSlot(raw []byte) (s slot, sound bool) {
	copy(s.nonce[:], raw)
	s.block = int(binary.LittleEndian.Uint16(raw[14:]))
	s.length = int(binary.LittleEndian.Uint32(raw[16:]))
	s.written = time.Unix(int64(binary.LittleEndian.Uint32(raw[20:])), 0)
	s.sum = binary.LittleEndian.Uint32(raw[24:])
	sound = binary.LittleEndian.Uint32(raw[28:]) == crc32.Checksum(raw[:28], castagnoli)
	return s, sound && s.length <= Largest
}

// blocks is how many blocks some bytes take.
func blocks(length int) int { return (length + blockSize - 1) / blockSize }

var deletedSlot = [slotSize]byte(bytes.Repeat([]byte{0xff}, slotSize))

// flips is how many bits may be others than they were written, in a slot without a blob. One
// with a blob has 112 random bits, and is not that close to it.
const flips = 16

func isEmpty(raw []byte) bool { return ones(raw) <= flips }

func isDeleted(raw []byte) bool { return ones(raw) >= 8*slotSize-flips }

func ones(raw []byte) (count int) {
	for i := 0; i < slotSize; i += 8 {
		count += bits.OnesCount64(binary.LittleEndian.Uint64(raw[i:]))
	}
	return count
}
