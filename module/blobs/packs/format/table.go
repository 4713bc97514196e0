package format

import (
	"errors"
	"io"
)

// SlotsPerBlock is how many slots a block of the table has.
const SlotsPerBlock = BlockSize / SlotSize

// ReadTable reads a part of a table, one block after the other where the disk cannot read all
// of it. Those that it cannot read are zeros, and lost is where in the buffer they begin.
func ReadTable(file io.ReaderAt, buffer []byte, from int64) (n int, lost []int, err error) {
	n, err = file.ReadAt(buffer, from)
	if err == nil || errors.Is(err, io.EOF) {
		return n, nil, nil
	}
	for start := 0; start < len(buffer); start += BlockSize {
		block := buffer[start:min(start+BlockSize, len(buffer))]
		got, blockErr := file.ReadAt(block, from+int64(start))
		if errors.Is(blockErr, io.EOF) {
			return start + got, lost, err
		}
		if blockErr != nil {
			clear(block)
			lost = append(lost, start)
		}
	}
	return len(buffer), lost, err
}
