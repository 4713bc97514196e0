package disktest

import (
	"os"
	"syscall"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// file is an open file. Its name is that which it was opened by.
type file struct {
	disk.File
	fsys *FS
	name string
	node *node
	// failures is how many syncs of an edited file failed before the last one of this
	// opening: a kernel tells each opening of each failure.
	failures int
}

func (f *file) operation(kind Kind, bytes int64) Operation {
	return Operation{Kind: kind, Name: f.name, Bytes: bytes}
}

// Write implements disk.File.
func (f *file) Write(p []byte) (n int, err error) {
	write := func(p []byte) func() error {
		return func() (err error) {
			n, err = f.File.Write(p)
			f.node.size += int64(n)
			return err
		}
	}
	err = f.fsys.run(f.operation(Write, int64(len(p))), action{do: write(p), short: write(p[:len(p)/2])})
	return n, err
}

// Sync implements disk.File.
func (f *file) Sync() error {
	return f.fsys.run(f.operation(Sync, 0), action{do: func() error {
		if !f.fsys.open[f] {
			return os.ErrClosed
		}
		if f.failures < f.node.failures {
			f.failures = f.node.failures
			return syscall.EIO
		}
		f.node.syncBytes()
		return nil
	}, lose: func() {
		f.node.loseBytes()
		f.failures = f.node.failures
	}})
}

// WriteAt implements disk.File.
func (f *file) WriteAt(p []byte, from int64) (n int, err error) {
	write := func(p []byte) func() error {
		return func() (err error) {
			n, err = f.File.WriteAt(p, from)
			f.node.change(from, p[:n])
			return err
		}
	}
	o := f.operation(WriteAt, int64(len(p)))
	o.From = from
	err = f.fsys.run(o, action{do: write(p), short: write(p[:len(p)/2])})
	return n, err
}

// Punch implements disk.File. The bytes are zeros then, in blocks that stay: a file system
// that takes blocks out waits for the disk to have what was written to them.
func (f *file) Punch(from, bytes int64) error {
	o := f.operation(Punch, bytes)
	o.From = from
	return f.fsys.run(o, action{do: func() error {
		f.node.change(from, make([]byte, bytes))
		_, err := f.File.WriteAt(make([]byte, bytes), from)
		return err
	}})
}

// Flush implements disk.File. Nothing is durable by it.
func (f *file) Flush() error {
	return f.fsys.run(f.operation(Flush, 0), action{do: func() error { return nil }})
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	return f.fsys.run(f.operation(Truncate, size), action{do: func() error {
		if f.node.edited {
			f.node.changes = append(f.node.changes, change{from: size, cut: true})
			return f.File.Truncate(size)
		}
		if err := f.node.cutBytes(size); err != nil {
			return err
		}
		return f.File.Truncate(size)
	}})
}

// Allocate implements disk.File.
func (f *file) Allocate(from, bytes int64) error {
	o := f.operation(Allocate, bytes)
	o.From = from
	return f.fsys.run(o, action{do: func() error { return f.File.Allocate(from, bytes) }})
}

// Allocated implements disk.File.
func (f *file) Allocated() (bytes int64, err error) {
	err = f.fsys.run(f.operation(Allocated, 0), action{do: func() (err error) {
		bytes, err = f.File.Allocated()
		return err
	}})
	return bytes, err
}

// Close implements disk.File. The file is closed for the machine that the test runs
// on in any case, with a fault and after a crash too.
func (f *file) Close() error {
	err := f.fsys.run(f.operation(Close, 0), action{do: func() error {
		delete(f.fsys.open, f)
		return f.File.Close()
	}})
	f.fsys.mu.Lock()
	defer f.fsys.mu.Unlock()
	if f.fsys.open[f] {
		delete(f.fsys.open, f)
		_ = f.File.Close() // the fault says what it says
	}
	return err
}
