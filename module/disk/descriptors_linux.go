package disk

import (
	"errors"
	"math"
	"os"
	"sync"
	"syscall"
	"time"
)

// openFiles has an entry for each descriptor of this process.
const openFiles = "/proc/self/fd"

// FreeDescriptors returns how many more files this process may open. Unlimited where that
// is not known.
func FreeDescriptors() uint64 {
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
	return counted.get()
}

// counted is what was counted last.
var counted count

type count struct {
	mu   sync.Mutex
	open uint64
	err  error
	at   time.Time
}

func (c *count) get() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) >= time.Second {
		entries, err := os.ReadDir(openFiles)
		c.open, c.err, c.at = uint64(len(entries)), err, time.Now()
	}
	return c.open, c.err
}
