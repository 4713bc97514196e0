package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// uploads are the cells of bodies that are larger than any buffer.
func (l *lab) uploads() []*cell {
	return []*cell{l.hugeUpload(), l.duplicate(true), l.duplicate(false)}
}

func (l *lab) hugeUpload() *cell {
	size := sizeName(l.huge)
	c := &cell{
		name: fmt.Sprintf("publish %s, 1 client", size), benchmark: fmt.Sprintf("Publish/size=%s/c=1", compact(size)),
		measure: throughput, targets: []target{atLeast("disk-beside", 0.85)},
	}
	for _, e := range l.registries() {
		c.sides = append(c.sides, side{name: e.name, label: e.label, chart: l.chartOf(e),
			check: func(ctx context.Context) error {
				_, err := l.uploadOne(ctx, e, true)
				return err
			},
			run: func(ctx context.Context) (sample, error) { return l.uploadOne(ctx, e, false) },
		})
	}
	for _, beside := range []bool{false, true} {
		s := side{name: "disk-serial", label: "the disk: write and SHA-256 in turn, fsync", chart: againstLimits,
			run: func(ctx context.Context) (sample, error) { return largeFile(ctx, l.dir, beside, l.file(l.huge)) }}
		if beside {
			s.name, s.label = "disk-beside", "the disk: write and SHA-256 at once, fsync"
		}
		c.sides = append(c.sides, s)
	}
	return c
}

// uploadOne publishes a huge file and deletes it, which is not measured.
func (l *lab) uploadOne(ctx context.Context, e *endpoint, verify bool) (sample, error) {
	s, files, err := l.publish(ctx, e, amount{clients: 1, limit: 1}, l.huge, true)
	if err != nil {
		return s, err
	}
	if verify {
		c := &connection{endpoint: e}
		defer c.close()
		if err := c.holds(ctx, files[0].path, files[0].content); err != nil {
			return s, err
		}
	}
	_, err = l.removeAll(ctx, e, files, 1)
	return s, err
}

// duplicate publishes a file that is there already, from one client, and compares
// with what publishing it takes.
func (l *lab) duplicate(expect bool) *cell {
	size, how, short := sizeName(l.medium), "with Expect: 100-continue", "yes"
	if !expect {
		how, short = "without Expect", "no"
	}
	c := &cell{
		name: fmt.Sprintf("refuse a duplicate of %s, %s", size, how), benchmark: fmt.Sprintf("Duplicate/size=%s/expect=%s", compact(size), short),
		measure: milliseconds,
	}
	if expect {
		c.targets = []target{below(5), nothingSent()}
	}
	for _, e := range l.registries() {
		c.sides = append(c.sides, side{name: e.name, label: e.label, chart: l.chartOf(e),
			check: func(ctx context.Context) error {
				_, err := l.offer(ctx, e, l.file(l.medium))
				return err
			},
			run: func(ctx context.Context) (sample, error) { return l.refuse(ctx, e, expect) },
		})
	}
	c.sides = append(c.sides, side{name: "publish", label: "publishing it", chart: againstItself,
		run: func(ctx context.Context) (sample, error) {
			s, files, err := l.publish(ctx, l.registry.password, amount{clients: 1, limit: 3}, l.medium, true)
			if err != nil {
				return s, err
			}
			_, err = l.removeAll(ctx, l.registry.password, files, 1)
			return s, err
		}})
	return c
}

func (l *lab) refuse(ctx context.Context, e *endpoint, expect bool) (sample, error) {
	f := l.file(l.medium)
	fields := []string{"Authorization", e.authorization, "Content-Length", strconv.FormatInt(f.size, 10)}
	if expect {
		fields = append(fields, "Expect", "100-continue")
	}
	head := e.head(http.MethodPut, l.filePath(e, f), fields...)
	var sent atomic.Int64
	s, err := e.load(ctx, amount{clients: 1, duration: l.seconds}, 0, func(c *connection, _ int) error {
		n, err := c.refused(ctx, head, f, expect)
		sent.Add(n)
		return err
	})
	if s.operations > 0 {
		s.sent = sent.Load() / int64(s.operations)
	}
	return s, err
}

// refused sends a file that must be refused as a duplicate, and returns how much of
// it was sent. With expect, that is what the server asks for; without, all that it
// takes until the answer is there.
func (c *connection) refused(ctx context.Context, head []byte, f content, expect bool) (int64, error) {
	defer c.close()
	if err := c.dial(ctx); err != nil {
		return 0, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(head); err != nil {
		return 0, err
	}
	counted := &countingWriter{to: c.conn}
	sending := make(chan struct{})
	send := func() {
		defer close(sending)
		_ = f.send(counted) // the server may have had enough of it
	}
	if !expect {
		go send()
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err == nil && expect && response.StatusCode == http.StatusContinue {
		go send()
		response, err = http.ReadResponse(c.reader, nil)
	} else if expect {
		close(sending)
	}
	c.close()
	<-sending
	if err != nil {
		return counted.n, fmt.Errorf("%s: a duplicate: %w", c.label, err)
	}
	if response.StatusCode != http.StatusConflict {
		return counted.n, fmt.Errorf("%s: a duplicate: status %d instead of 409", c.label, response.StatusCode)
	}
	return counted.n, nil
}

type countingWriter struct {
	to io.Writer
	n  int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	return n, err
}
