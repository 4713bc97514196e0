package disk

import "os"

// zeroStep bounds the buffer of zeros.
const zeroStep = 64 << 10

// zero writes zeros where the file system cannot take bytes out of a file.
func zero(file *os.File, from, bytes int64) error {
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
