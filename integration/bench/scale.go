package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// scaleCells compare a registry with many files with one that has none.
func (l *lab) scaleCells() []*cell {
	if l.scale == 0 {
		return nil
	}
	f := &filled{lab: l}
	l.filled = f
	at := fmt.Sprintf(" at %s files", grouped(l.scale))
	tenth := grouped(l.scale / 10)
	return []*cell{
		f.against("publish "+sizeName(l.small)+at+", 32 clients", "Publish", operations, []target{atLeast("empty", 0.8)}, f.publishing(32, nil)),
		f.against("publish into a version with "+tenth+" files, 8 clients", "PublishIntoVersion", operations, nil,
			f.publishing(8, func(e *endpoint, n int64) string { return e.path("many-files", "1.0.0", fmt.Sprintf("more-%d", n)) })),
		f.against("publish into a package with "+tenth+" versions, 8 clients", "PublishIntoPackage", operations, nil,
			f.publishing(8, func(e *endpoint, n int64) string { return e.path("many-versions", fmt.Sprintf("2.0.%d", n), "file") })),
		f.against("GET any file"+at+", 8 clients", "Get", operations, nil, f.getting),
		f.against("DELETE"+at+", 8 clients", "Delete", operations, nil, f.deleting),
		f.memoryCell("memory"+at, "Memory", 0, func(u usage) int64 { return u.resident }),
		f.memoryCell("memory"+at+", at most", "MemoryPeak", 0, func(usage) int64 { return f.peak }),
		f.memoryCell("memory"+at+", without pages of files", "MemoryOwn", 0, func(u usage) int64 { return u.own }),
		f.memoryCell("memory"+at+", a minute later", "MemoryIdle", l.later, func(u usage) int64 { return u.resident }),
		f.against("start"+at+", after a clean stop", "Start/after=stop", seconds, []target{atMostSeconds(2)},
			func(ctx context.Context, r *registryServer, _ int) (sample, error) { return l.restart(ctx, r, false) }),
		f.against("start"+at+", after kill -9", "Start/after=kill", seconds, []target{atMostSeconds(5)},
			func(ctx context.Context, r *registryServer, _ int) (sample, error) { return l.restart(ctx, r, true) }),
		f.versionCell(fmt.Sprintf("DELETE a version with %s files", tenth), "DeleteVersion", milliseconds,
			func(d *deletion) sample { return d.answer },
			side{name: "small", label: "a version with one file", chart: againstItself, run: f.smallVersions}),
		f.versionCell(fmt.Sprintf("DELETE a version with %s files, until the bytes are gone", tenth), "DeleteVersionBytes", seconds,
			func(d *deletion) sample { return d.gone },
			side{name: "unlink", label: "the disk: unlink", chart: againstLimits, run: l.unlinking}),
		f.halvedCell("disk space"+at+", every second version deleted", "Space", space, target{
			text: "≤ 1.05 × + 256 MiB", met: func(c comparison) bool { return c.difference <= 0.05*(c.ours-c.difference)+256 },
		}, func(h *halved) (ours, each sample) {
			return sample{bytes: h.bytes}, sample{bytes: int64(h.blobs) * 4 * kibibyte}
		}),
		f.halvedCell("inodes"+at+", every second version deleted", "Inodes", number, atMost("each", 0.01),
			func(h *halved) (ours, each sample) { return sample{operations: h.inodes}, sample{operations: h.blobs} }),
	}
}

// against is a cell that does the same on the filled registry and on a fresh one; n
// is how many files that one may expect.
func (f *filled) against(name, benchmark string, m measure, targets []target, do func(ctx context.Context, r *registryServer, n int) (sample, error)) *cell {
	return &cell{
		name: name, benchmark: f.benchmark(benchmark), measure: m, targets: targets,
		sides: []side{
			{name: "registry", label: "this Caddy", check: f.fill, run: func(ctx context.Context) (sample, error) {
				return f.remember(do(ctx, f.registryServer, f.scale))
			}},
			{name: "empty", label: "an empty registry", chart: againstItself, run: func(ctx context.Context) (sample, error) {
				return f.fresh(ctx, func(r *registryServer) (sample, error) { return do(ctx, r, 0) })
			}},
		},
	}
}

func (f *filled) benchmark(name string) string {
	return "Scale/" + name + "/files=" + strconv.Itoa(f.scale)
}

// publishing publishes small files, each at a path that is made of a number.
func (f *filled) publishing(clients int, path func(*endpoint, int64) string) func(context.Context, *registryServer, int) (sample, error) {
	return func(ctx context.Context, r *registryServer, _ int) (sample, error) {
		return r.password.load(ctx, amount{clients: clients, duration: f.seconds}, f.small, func(c *connection, _ int) error {
			file := f.next(r.password, f.small, true)
			if path != nil {
				file.path = path(r.password, int64(file.seed))
			}
			return c.publish(ctx, file.path, file.content)
		})
	}
}

// few is how many files a fresh registry gets where some are needed.
func (f *filled) few() int { return min(max(f.scale/100, 10), 2000) }

// some publishes that many files on a fresh registry, those of the filled one with
// the highest numbers.
func (f *filled) some(ctx context.Context, r *registryServer) error {
	_, err := r.password.load(ctx, amount{clients: 32, limit: f.few()}, 0, func(c *connection, i int) error {
		file := f.fileAt(r.password, f.scale-1-i)
		return c.publish(ctx, file.path, file.content)
	})
	return err
}

func (f *filled) getting(ctx context.Context, r *registryServer, n int) (sample, error) {
	first, last := f.first(), f.scale-f.removed
	if n == 0 {
		if err := f.some(ctx, r); err != nil {
			return sample{}, err
		}
		first, last = f.scale-f.few(), f.scale
	}
	var counter atomic.Uint64
	return r.password.load(ctx, amount{clients: 8, duration: f.seconds}, 0, func(c *connection, _ int) error {
		file := f.fileAt(r.password, first+pick(&counter, last-first))
		_, err := c.do(ctx, request{method: "GET", head: c.head("GET", file.path), status: 200, size: file.size})
		return err
	})
}

// deleting deletes the last files that are there.
func (f *filled) deleting(ctx context.Context, r *registryServer, n int) (sample, error) {
	last := f.scale - 1
	if n == 0 {
		if err := f.some(ctx, r); err != nil {
			return sample{}, err
		}
	} else {
		last -= f.removed
		f.removed += f.few()
	}
	return r.password.load(ctx, amount{clients: 8, limit: f.few()}, 0, func(c *connection, i int) error {
		return c.remove(ctx, f.fileAt(r.password, last-i).path)
	})
}

func (f *filled) memoryCell(name, benchmark string, wait time.Duration, of func(usage) int64) *cell {
	return &cell{
		name: name, benchmark: f.benchmark(benchmark), measure: resident, targets: []target{atMostMore("stock", 120)},
		sides: []side{
			{name: "registry", label: "this Caddy", check: f.fill, run: func(ctx context.Context) (sample, error) { return f.memory(ctx, wait, of) }},
			{name: "stock", label: "idle stock Caddy", chart: againstStock, run: f.idleStock},
		},
	}
}

// versionCell is about the deletion of the large version, which happens once.
func (f *filled) versionCell(name, benchmark string, m measure, of func(*deletion) sample, other side) *cell {
	return &cell{
		name: name, benchmark: f.benchmark(benchmark), measure: m, once: true,
		sides: []side{
			{name: "registry", label: "this Caddy", check: f.fill, run: func(ctx context.Context) (sample, error) {
				d, err := f.deleteVersion(ctx)
				if err != nil {
					return sample{}, err
				}
				return of(d), nil
			}},
			other,
		},
	}
}

// smallVersions deletes versions with one file.
func (f *filled) smallVersions(ctx context.Context) (sample, error) {
	n := min(f.few(), 100)
	_, files, err := f.publish(ctx, f.password, amount{clients: 8, limit: n}, f.small, true)
	if err != nil {
		return sample{}, err
	}
	return f.password.load(ctx, amount{clients: 1, limit: n}, 0, func(c *connection, i int) error {
		return c.remove(ctx, filepath.Dir(files[i].path))
	})
}

// unlinking is how long the disk takes to delete as many files as the large version
// has.
func (l *lab) unlinking(ctx context.Context) (sample, error) {
	dir := filepath.Join(l.dir, "unlink")
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return sample{}, err
	}
	names := make([]string, l.scale/10)
	for i := range names {
		names[i] = filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(names[i], make([]byte, 2*kibibyte), 0o600); err != nil {
			return sample{}, err
		}
	}
	if err := syncDirectory(dir); err != nil {
		return sample{}, err
	}
	begin := time.Now()
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			return sample{}, err
		}
	}
	err := syncDirectory(dir)
	return sample{operations: len(names), elapsed: time.Since(begin)}, err
}
