package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

const slowStep = 4 * kibibyte // that a slow client sends or takes at once

// slowClients is many uploads and as many downloads at the same time, each a little
// at a time. Go itself raises the limit of open files as far as it may.
type slowClients struct {
	*lab
	endpoint *endpoint
	begun    sync.WaitGroup // each client has moved its first bytes
}

// run has all clients work, and does something else once all have begun. All of them
// must succeed.
func (s *slowClients) run(ctx context.Context, meanwhile func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	file := s.file(s.slowSize)
	if _, err := s.offer(ctx, s.endpoint, file); err != nil {
		return err
	}
	var clients sync.WaitGroup
	start := func(i int, do func(*connection) error) {
		s.begun.Add(1)
		clients.Go(func() {
			if err := s.client(ctx, i, do); err != nil {
				cancel(err)
			}
		})
	}
	path := s.filePath(s.endpoint, file)
	for i := range s.slow {
		start(2*i, func(c *connection) error {
			f := s.next(s.endpoint, slowStep*int64(s.steps()), true)
			return c.publish(ctx, f.path, f.content)
		})
		start(2*i+1, func(c *connection) error { return c.holds(ctx, path, file) })
	}
	begun := make(chan struct{})
	go func() { s.begun.Wait(); close(begun) }()
	select {
	case <-begun:
		if err := meanwhile(ctx); err != nil {
			cancel(err)
		}
	case <-ctx.Done():
	}
	clients.Wait()
	return context.Cause(ctx)
}

// steps is how often a slow client moves bytes, about once a second.
func (s *slowClients) steps() int { return max(2, int(s.slowTime/time.Second)) }

// client is one of them, on a connection of its own.
func (s *slowClients) client(ctx context.Context, i int, do func(*connection) error) error {
	var begin sync.Once
	defer begin.Do(s.begun.Done) // nobody waits for one that failed
	c := &connection{endpoint: s.endpoint}
	defer c.close()
	if err := c.dial(ctx); err != nil {
		return err
	}
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		// Else the kernel takes a whole download at once, and the server is done.
		// Smaller than a segment it would be too much: then a timer probes the window.
		if err := tcp.SetReadBuffer(64 * kibibyte); err != nil {
			return err
		}
	}
	interval := s.slowTime / time.Duration(s.steps())
	p := &pacedConn{Conn: c.conn, left: s.steps(), interval: interval, begun: func() { begin.Do(s.begun.Done) }}
	// Not all in the same moment.
	p.next = time.Now().Add(interval * time.Duration(i) / time.Duration(2*s.slow))
	c.conn, c.reader = p, bufio.NewReaderSize(p, slowStep)
	return do(c)
}

// pacedConn moves one step at a time, for so many steps, and then what it can. It
// sleeps in between: that is what a slow client does.
type pacedConn struct {
	net.Conn
	left     int
	interval time.Duration
	next     time.Time
	begun    func()
}

func (p *pacedConn) wait() {
	time.Sleep(time.Until(p.next))
	p.next = p.next.Add(p.interval)
	p.left--
}

func (p *pacedConn) Read(b []byte) (int, error) {
	if p.left > 0 {
		p.wait()
		b = b[:min(len(b), slowStep)]
	}
	n, err := p.Conn.Read(b)
	p.begun()
	return n, err
}

func (p *pacedConn) Write(b []byte) (written int, err error) {
	for written < len(b) {
		part := b[written:min(len(b), written+slowStep)]
		if len(b) > slowStep { // the body of an upload, not the head of a download
			p.wait()
		}
		n, err := p.Conn.Write(part)
		written += n
		if err != nil {
			return written, err
		}
		if len(b) > slowStep {
			p.begun()
		}
	}
	return written, nil
}

func (l *lab) slowCells() []*cell {
	name := fmt.Sprintf("%s slow uploads and %s slow downloads at once", grouped(l.slow), grouped(l.slow))
	file := l.file(l.small)
	alone := l.fetch(l.registry.password, file, 1, get)
	alone.name, alone.label, alone.chart = "alone", "without them", againstItself
	beside := l.fetch(l.registry.password, file, 1, get)
	fetch := beside.run
	beside.run = func(ctx context.Context) (s sample, err error) {
		slow := &slowClients{lab: l, endpoint: l.registry.password}
		err = slow.run(ctx, func(ctx context.Context) (err error) {
			s, err = fetch(ctx)
			return err
		})
		return s, err
	}
	return []*cell{
		l.busyMemory("memory, "+name, fmt.Sprintf("Memory/slow=%d", 2*l.slow), nil, func(ctx context.Context, e *endpoint) error {
			slow := &slowClients{lab: l, endpoint: e}
			return slow.run(ctx, func(context.Context) error { return nil })
		}),
		{
			name: fmt.Sprintf("GET %s beside %s, 1 client", sizeName(l.small), name), benchmark: fmt.Sprintf("GetBesideSlow/size=%s/slow=%d", compact(sizeName(l.small)), 2*l.slow),
			measure: milliseconds, sides: []side{beside, alone},
		},
	}
}
