package disk

import (
	"errors"
	"io"
)

// Clear takes bytes out of a file that Edit has opened, or writes zeros where the file system
// cannot do that.
func Clear(file File, from, bytes int64) error {
	err := file.Punch(from, bytes)
	if errors.Is(err, errors.ErrUnsupported) {
		return zero(file, from, bytes)
	}
	return err
}

// zeroStep bounds the buffer of zeros.
const zeroStep = 64 << 10

func zero(file io.WriterAt, from, bytes int64) error {
	zeros := make([]byte, min(bytes, zeroStep))
	for bytes > 0 {
		n, err := file.WriteAt(zeros[:min(bytes, zeroStep)], from)
		if err != nil {
			return err
		}
		from, bytes = from+int64(n), bytes-int64(n)
	}
	return nil
}
