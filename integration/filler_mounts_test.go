//go:build mounts

package integration

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// filler is another program that takes all the room there is on a disk, and
// whatever is freed later.
type filler struct {
	disk *mount
	name string
	stop chan struct{}
	done sync.WaitGroup
	full chan struct{} // closed once there was nothing left to take
}

// free is how many bytes an ordinary program may still write.
func (m *mount) free() int64 {
	m.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs(m.path, &stat); err != nil {
		m.Fatal(err)
	}
	return int64(stat.Bavail) * stat.Frsize
}

// fillUp starts to take the room of a disk, to the last block.
func (m *mount) fillUp() *filler {
	m.Helper()
	f := &filler{disk: m, name: filepath.Join(m.path, "filler"), stop: make(chan struct{}), full: make(chan struct{})}
	file, err := os.Create(f.name)
	if err != nil {
		m.Fatal(err)
	}
	f.done.Go(func() {
		defer file.Close()
		f.take(file)
	})
	m.Cleanup(f.remove)
	return f
}

func (f *filler) take(file *os.File) {
	var size int64
	full := sync.OnceFunc(func() { close(f.full) })
	for step := int64(16 << 20); ; {
		select {
		case <-f.stop:
			return
		default:
		}
		switch err := unix.Fallocate(int(file.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.ENOSPC):
			f.disk.Errorf("filling the disk: %v", err)
			return
		case step > 4096:
			step /= 2
		default:
			full()
		}
	}
}

// remove gives the room back.
func (f *filler) remove() {
	select {
	case <-f.stop:
		return
	default:
	}
	close(f.stop)
	f.done.Wait()
	if err := os.Remove(f.name); err != nil {
		f.disk.Error(err)
	}
}
