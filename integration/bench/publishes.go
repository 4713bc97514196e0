package main

import (
	"context"
	"fmt"
	"time"
)

// published is a file that a cell published.
type published struct {
	path string
	content
}

// next is a file that no endpoint has yet.
func (l *lab) next(e *endpoint, size int64, ownVersion bool) published {
	n := l.sequence.Add(1)
	c := content{seed: uint64(n), size: size}
	if ownVersion {
		return published{e.path(l.pkg, fmt.Sprintf("1.1.%d", n), "file"), c}
	}
	return published{e.path(l.pkg, "2.0.0", fmt.Sprintf("file-%d", n)), c}
}

// publish has clients publish new files, and returns which.
func (l *lab) publish(ctx context.Context, e *endpoint, a amount, size int64, ownVersion bool) (sample, []published, error) {
	files := make(chan published, 1024)
	var all []published
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for f := range files {
			all = append(all, f)
		}
	}()
	s, err := e.load(ctx, a, size, func(c *connection, _ int) error {
		f := l.next(e, size, ownVersion)
		if err := c.publish(ctx, f.path, f.content); err != nil {
			return err
		}
		files <- f
		return nil
	})
	close(files)
	<-collected
	return s, all, err
}

// removeAll deletes what was published.
func (l *lab) removeAll(ctx context.Context, e *endpoint, files []published, clients int) (sample, error) {
	return e.load(ctx, amount{clients: clients, limit: len(files)}, 0, func(c *connection, i int) error {
		return c.remove(ctx, files[i].path)
	})
}

// publishing is the side of a cell that publishes.
func (l *lab) publishing(e *endpoint, clients int, ownVersion bool) side {
	check := func(ctx context.Context) error {
		f := l.next(e, l.small, ownVersion)
		c := &connection{endpoint: e}
		defer c.close()
		if err := c.publish(ctx, f.path, f.content); err != nil {
			return err
		}
		if err := c.holds(ctx, f.path, f.content); err != nil {
			return err
		}
		return c.remove(ctx, f.path)
	}
	run := func(ctx context.Context) (sample, error) {
		s, files, err := l.publish(ctx, e, amount{clients: clients, duration: l.seconds}, l.small, ownVersion)
		s.finish()
		if err == nil && e == l.peer { // which is somebody else's
			_, err = l.removeAll(ctx, e, files, 8)
		}
		return s, err
	}
	return side{name: e.name, label: e.label, chart: l.chartOf(e), check: check, run: run}
}

// syncing is the side that does to the disk what a publish must.
func (l *lab) syncing(clients, directories int) side {
	label := "the disk: fsync, rename, fsync of " + count(directories, "directory")
	if directories > 1 {
		label = fmt.Sprintf("the disk: fsync, rename, fsync of one of %d directories", directories)
	}
	return side{
		name: fmt.Sprintf("disk-%d", directories), label: label, chart: againstLimits,
		run: func(ctx context.Context) (sample, error) {
			s, err := smallFiles(ctx, l.dir, directories, l.small, amount{clients: clients, duration: l.seconds})
			s.finish()
			return s, err
		},
	}
}

// finish counts the time in which the disk does what a side has left to it: what is
// durable elsewhere has yet to be where it belongs. Else the next side would pay for it.
func (s *sample) finish() {
	start := time.Now()
	syncDisks()
	s.elapsed += time.Since(start)
}

func (l *lab) publishes() (cells []*cell) {
	targets := map[int]float64{1: 1, 8: 1.5, 32: 2}
	for _, ownVersion := range []bool{true, false} {
		where, short := "a version each", "versions"
		if !ownVersion {
			where, short = "all in one version", "files"
		}
		for _, clients := range []int{1, 8, 32} {
			c := &cell{
				name:      fmt.Sprintf("publish %s, %s, %s", sizeName(l.small), where, count(clients, "client")),
				benchmark: fmt.Sprintf("Publish/size=%s/new=%s/c=%d", compact(sizeName(l.small)), short, clients),
				measure:   operations, targets: []target{atLeast("disk-256", targets[clients])},
			}
			for _, e := range l.registries() {
				c.sides = append(c.sides, l.publishing(e, clients, ownVersion))
			}
			c.sides = append(c.sides, l.syncing(clients, 256), l.syncing(clients, 1))
			cells = append(cells, c)
		}
	}
	return append(cells, l.deletes())
}

// deletes publishes files and deletes them, in the same round.
func (l *lab) deletes() *cell {
	var publishing sample
	deleting := func(e *endpoint) side {
		return side{name: e.name, label: e.label, chart: l.chartOf(e),
			check: func(ctx context.Context) error {
				f := l.next(e, l.small, false)
				c := &connection{endpoint: e}
				defer c.close()
				if err := c.publish(ctx, f.path, f.content); err != nil {
					return err
				}
				if err := c.remove(ctx, f.path); err != nil {
					return err
				}
				return c.lacks(ctx, f.path)
			},
			run: func(ctx context.Context) (sample, error) {
				s, files, err := l.publish(ctx, e, amount{clients: 8, duration: l.seconds}, l.small, false)
				if err != nil {
					return s, err
				}
				if e != l.peer {
					publishing = s
				}
				return l.removeAll(ctx, e, files, 8)
			}}
	}
	c := &cell{
		name: fmt.Sprintf("DELETE files of %s, 8 clients", sizeName(l.small)), benchmark: fmt.Sprintf("Delete/size=%s/c=8", compact(sizeName(l.small))),
		measure: operations, targets: []target{atLeast("publish", 1.5)}, inOrder: true,
	}
	for _, e := range l.registries() {
		c.sides = append(c.sides, deleting(e))
	}
	c.sides = append(c.sides, side{name: "publish", label: "publishing them", chart: againstItself,
		run: func(context.Context) (sample, error) { return publishing, nil }})
	return c
}
