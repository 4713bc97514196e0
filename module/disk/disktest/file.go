package disktest

import (
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// file is an open file. Its name is that which it was opened by.
type file struct {
	disk.File
	fsys *FS
	name string
	node *node
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
		f.node.syncBytes()
		return nil
	}, lose: func() { f.node.lost = true }})
}

// Flush implements disk.File. Nothing is durable by it.
func (f *file) Flush(from, bytes int64) error {
	return f.fsys.run(f.operation(Flush, bytes), action{do: func() error { return nil }})
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	return f.fsys.run(f.operation(Truncate, size), action{do: func() error {
		if err := f.node.cutBytes(size); err != nil {
			return err
		}
		return f.File.Truncate(size)
	}})
}

// Allocate implements disk.File.
func (f *file) Allocate(bytes int64) error {
	return f.fsys.run(f.operation(Allocate, bytes), action{do: func() error { return f.File.Allocate(bytes) }})
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
