package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// punch takes blocks out with F_PUNCHHOLE of fcntl(2). Its fpunchhole_t begins as an
// fstore_t does: flags, four bytes, offset, length. What is not of whole blocks, or on
// another file system than APFS, is refused.
func punch(file *os.File, from, bytes int64) error {
	hole := unix.Fstore_t{Offset: from, Length: bytes}
	err := unix.FcntlFstore(file.Fd(), unix.F_PUNCHHOLE, &hole)
	if err == nil {
		return nil
	}
	return errors.Join(errors.ErrUnsupported, err)
}
