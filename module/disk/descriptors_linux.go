package disk

import (
	"errors"
	"math"
	"os"
	"syscall"
	"time"
)

// openFiles has an entry for each descriptor of this process.
const openFiles = "/proc/self/fd"

var descriptors, counted memo[uint64]

// FreeDescriptors returns how many more files this process may open. Unlimited where that
// is not known. Where there are plenty, it is as it was a moment ago.
func FreeDescriptors() uint64 {
	free, _ := descriptors.get(func() (uint64, time.Duration, error) {
		free := freeDescriptors()
		return free, goodFor(free >= plentyOfDescriptors), nil
	})
	return free
}

func freeDescriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt64 {
		return Unlimited
	}
	open, err := countDescriptors()
	switch {
	case errors.Is(err, syscall.EMFILE):
		return 0
	case err != nil:
		return Unlimited // without /proc
	}
	return limit.Cur - min(limit.Cur, open)
}

// countDescriptors returns how many descriptors are open. Linux tells it from 6.2 on;
// before that they are counted, at most once a second.
func countDescriptors() (uint64, error) {
	info, err := os.Stat(openFiles)
	if err != nil {
		return 0, err
	}
	if open := info.Size(); open > 0 {
		return uint64(open), nil
	}
	return counted.get(readDescriptors)
}

func readDescriptors() (uint64, time.Duration, error) {
	entries, err := os.ReadDir(openFiles)
	return uint64(len(entries)), time.Second, err
}
