package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// filled is a registry with many small files. A tenth of them is in one version,
// another tenth is versions of one package, and the others are spread over packages
// of 100 versions of 10 files.
type filled struct {
	*lab
	*registryServer

	peak    int64 // most bytes resident at any time
	removed int   // how many of the last files have been deleted
	deleted *deletion
	halved  *halved
}

// fileAt is the file of a number, of some 16 bytes to 4 KiB, on an endpoint.
func (f *filled) fileAt(e *endpoint, i int) published {
	c := content{seed: 1<<62 + uint64(i), size: 16 + int64(uint64(i)*2654435761%4081)}
	switch tenth := f.scale / 10; {
	case i < tenth:
		return published{e.path("many-files", "1.0.0", fmt.Sprintf("file-%d", i)), c}
	case i < 2*tenth:
		return published{e.path("many-versions", fmt.Sprintf("1.0.%d", i), "file"), c}
	}
	return published{e.path(fmt.Sprintf("package-%d", i/1000), fmt.Sprintf("1.%d.0", i/10%100), fmt.Sprintf("file-%d", i)), c}
}

// fill starts the registry and publishes its files, once.
func (f *filled) fill(ctx context.Context) (err error) {
	if f.registryServer != nil {
		return nil
	}
	if f.registryServer, err = startRegistry(ctx, f.caddy, filepath.Join(f.dir, "filled")); err != nil {
		return err
	}
	s, err := f.load(ctx, amount{clients: 32, limit: f.scale}, func(c *connection, i int) error {
		file := f.fileAt(f.password, i)
		if (i+1)%max(1, f.scale/10) == 0 {
			fmt.Fprintf(f.progress, "%s  filling: %s files\n", time.Now().Format(time.TimeOnly), grouped(i+1))
		}
		return c.publish(ctx, file.path, file.content)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(f.progress, "%s  filled: %s\n", time.Now().Format(time.TimeOnly), figure(operations.of(s), "/s"))
	return f.sound(ctx)
}

// sound compares a part of the files that are left with what they must be.
func (f *filled) sound(ctx context.Context) error {
	c := &connection{endpoint: f.password}
	defer c.close()
	for i := f.first(); i < f.scale-f.removed; i += max(1, f.scale/1000) {
		file := f.fileAt(f.password, i)
		if err := c.holds(ctx, file.path, file.content); err != nil {
			return err
		}
	}
	return nil
}

// first is the first file that is there: those of the large version go first.
func (f *filled) first() int {
	if f.deleted != nil {
		return f.scale / 10
	}
	return 0
}

// load remembers the peak of memory.
func (f *filled) load(ctx context.Context, a amount, operate operation) (sample, error) {
	return f.remember(f.password.load(ctx, a, 0, operate))
}

func (f *filled) remember(s sample, err error) (sample, error) {
	f.peak = max(f.peak, s.peak)
	return s, err
}

// memory is what the process has resident, in one of several ways to count, now or a
// little later.
func (f *filled) memory(ctx context.Context, wait time.Duration, of func(usage) int64) (sample, error) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
	u, err := f.usage()
	f.peak = max(f.peak, u.peak)
	return sample{memory: of(u)}, err
}

// restart ends a registry and starts it again; the time is that until it serves.
// After a crash what was acknowledged just before must be there.
func (l *lab) restart(ctx context.Context, r *registryServer, crash bool) (sample, error) {
	_, files, err := l.publish(ctx, r.password, amount{clients: 8, duration: l.seconds}, l.small, true)
	if err != nil {
		return sample{}, err
	}
	if crash {
		r.kill()
	} else if err := r.stop(); err != nil {
		return sample{}, err
	}
	took, err := r.start(ctx)
	if err != nil {
		return sample{}, err
	}
	c := &connection{endpoint: r.password}
	defer c.close()
	for _, f := range files[max(0, len(files)-100):] {
		if err := c.holds(ctx, f.path, f.content); err != nil {
			return sample{}, err
		}
	}
	u, err := r.usage()
	return sample{operations: 1, elapsed: took, peak: u.peak}, err
}

// deletion is what deleting the version with a tenth of all files took.
type deletion struct {
	answer sample // until it was answered
	gone   sample // until the bytes were gone
}

// deleteVersion deletes that version, once.
func (f *filled) deleteVersion(ctx context.Context) (*deletion, error) {
	if f.deleted != nil {
		return f.deleted, nil
	}
	before, err := countBlobs(f.root)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	d := &deletion{}
	if d.answer, err = f.load(ctx, amount{clients: 1, limit: 1}, func(c *connection, _ int) error {
		return c.remove(ctx, f.password.path("many-files", "1.0.0", ""))
	}); err != nil {
		return nil, err
	}
	f.deleted = d
	c := &connection{endpoint: f.password}
	defer c.close()
	for i := range f.scale / 10 {
		if i%max(1, f.scale/1000) != 0 {
			continue
		}
		if err := c.lacks(ctx, f.fileAt(f.password, i).path); err != nil {
			return nil, err
		}
	}
	if err := awaitBlobs(ctx, f.root, before-f.scale/10); err != nil {
		return nil, err
	}
	d.gone = sample{operations: f.scale / 10, elapsed: time.Since(begin)}
	return d, f.sound(ctx)
}

// awaitBlobs waits until a registry has no more than so many blobs on disk.
func awaitBlobs(ctx context.Context, root string, most int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		left, err := countBlobs(root)
		if err != nil || left <= most {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the bytes of a deleted version stay: %d blobs are left, not %d: %w", left, most, ctx.Err())
		case <-look.C:
		}
	}
}

// countBlobs is how many blobs a registry has on disk.
func countBlobs(root string) (n int, err error) {
	blobs := filepath.Join(root, "blobs")
	directories, err := os.ReadDir(blobs)
	if err != nil {
		return 0, err
	}
	for _, d := range directories {
		if !d.IsDir() || d.Name() == "tmp" || d.Name() == "quarantine" {
			continue
		}
		dir, err := os.Open(filepath.Join(blobs, d.Name()))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		names, err := dir.Readdirnames(-1)
		_ = dir.Close()
		if err != nil {
			return 0, err
		}
		if d.Name() != "packs" {
			n += len(names)
			continue
		}
		for _, name := range names {
			packed, err := countPacked(filepath.Join(blobs, d.Name(), name))
			if err != nil {
				return 0, err
			}
			n += packed
		}
	}
	return n, nil
}

// countPacked is how many blobs a pack has: its slots that have their checksum.
func countPacked(name string) (n int, err error) {
	file, err := os.Open(name)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	const slots, size = 16 << 10, 32
	table := make([]byte, slots*size)
	read, _ := file.ReadAt(table, 0) // a pack may have no content yet
	for slot := range read / size {
		raw := table[slot*size : (slot+1)*size]
		if crc32.Checksum(raw[:28], crc32.MakeTable(crc32.Castagnoli)) == binary.LittleEndian.Uint32(raw[28:]) {
			n++
		}
	}
	return n, nil
}

// pick is a number below n, another one each time, all over it.
func pick(counter *atomic.Uint64, n int) int {
	return int((counter.Add(1) * 0x9E3779B97F4A7C15 >> 1) % uint64(n))
}
