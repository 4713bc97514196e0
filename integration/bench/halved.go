package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// halved is what the filled registry takes on the disk when every second version of its
// packages is deleted: what was deleted lies between what is left.
type halved struct {
	bytes  int64 // of blocks that are allocated
	inodes int
	blobs  int // that are left
}

// halvedCell compares what the registry takes with a file of its own for each blob.
func (f *filled) halvedCell(name, benchmark string, m measure, t target, of func(*halved) (ours, each sample)) *cell {
	return &cell{
		name: name, benchmark: f.benchmark(benchmark), measure: m, targets: []target{t}, once: true, inOrder: true,
		sides: []side{
			{name: "registry", label: "this Caddy", check: f.fill, run: func(ctx context.Context) (sample, error) {
				h, err := f.halve(ctx)
				if err != nil {
					return sample{}, err
				}
				ours, _ := of(h)
				return ours, nil
			}},
			{name: "each", label: "a file for each blob", chart: againstLimits, run: func(context.Context) (sample, error) {
				_, each := of(f.halved)
				return each, nil
			}},
		},
	}
}

// halve deletes every second version, once, and waits until the bytes are gone.
func (f *filled) halve(ctx context.Context) (*halved, error) {
	if f.halved != nil {
		return f.halved, nil
	}
	before, err := countBlobs(f.root)
	if err != nil {
		return nil, err
	}
	const files = 10 // of a version, see fileAt
	first, versions := f.scale/10*2/files, (f.scale-f.removed-f.scale/10*2)/files
	n := versions / 2
	if _, err := f.load(ctx, amount{clients: 8, limit: n}, func(c *connection, i int) error {
		return c.remove(ctx, filepath.Dir(f.fileAt(f.password, (first+2*i)*files).path))
	}); err != nil {
		return nil, err
	}
	if err := awaitBlobs(ctx, f.root, before-n*files); err != nil {
		return nil, err
	}
	h := &halved{blobs: before - n*files}
	if h.bytes, h.inodes, err = onDisk(f.root); err != nil {
		return nil, err
	}
	f.halved = h
	return h, nil
}

// onDisk is what a directory takes on the disk.
func onDisk(root string) (bytes int64, inodes int, err error) {
	err = filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return fmt.Errorf("looking at what a registry takes on the disk: %w", err)
		}
		bytes += allocated(info)
		inodes++
		return nil
	})
	return bytes, inodes, err
}
