package disk

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// punch makes the file sparse, and has NTFS take blocks out with FSCTL_SET_ZERO_DATA, of
// which the argument is where they begin, and what comes after them.
func punch(file *os.File, from, bytes int64) error {
	var returned uint32
	handle := windows.Handle(file.Fd())
	err := windows.DeviceIoControl(handle, windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &returned, nil)
	if err == nil {
		hole := binary.LittleEndian.AppendUint64(nil, uint64(from))
		hole = binary.LittleEndian.AppendUint64(hole, uint64(from+bytes))
		err = windows.DeviceIoControl(handle, windows.FSCTL_SET_ZERO_DATA, &hole[0], uint32(len(hole)), nil, 0, &returned, nil)
	}
	if err != nil {
		return errors.Join(errors.ErrUnsupported, err)
	}
	return nil
}
