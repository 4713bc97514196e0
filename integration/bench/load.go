package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is what was measured of one side in one round.
type sample struct {
	operations int
	bytes      int64 // of all bodies
	elapsed    time.Duration
	latencies  []time.Duration // sorted

	cpu    time.Duration // of the server; 0 where it is not known
	memory int64         // bytes resident that the cell is about
	peak   int64         // most bytes resident meanwhile; 0 where it is not known
	sent   int64         // bytes of bodies that a refusal could not stop
}

func (s sample) seconds() float64 { return s.elapsed.Seconds() }

// latency is that of the given part of operations, 0.5 for the median.
func (s sample) latency(part float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	return s.latencies[min(len(s.latencies)-1, int(part*float64(len(s.latencies))))]
}

// operation is one of a client; i counts those of all clients from 0.
type operation func(c *connection, i int) error

// amount is how much is done: operations until the time is over, or as many as
// limit says.
type amount struct {
	clients  int
	duration time.Duration
	limit    int
}

// work has clients do operations, each again and again, until the time is over or
// the limit reached, and measures them. The first error ends all.
func work(ctx context.Context, a amount, operate func(ctx context.Context, client, i int) error) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	latencies := make([][]time.Duration, a.clients)
	var clients sync.WaitGroup
	begin := time.Now()
	for client := range a.clients {
		clients.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				i := int(next.Add(1)) - 1
				if a.limit > 0 && i >= a.limit || a.limit == 0 && i >= a.clients && start.Sub(begin) >= a.duration {
					return
				}
				if err := operate(ctx, client, i); err != nil {
					cancel(err)
					return
				}
				latencies[client] = append(latencies[client], time.Since(start))
			}
		})
	}
	clients.Wait()
	s := sample{elapsed: time.Since(begin), latencies: slices.Concat(latencies...)}
	slices.Sort(s.latencies)
	s.operations = len(s.latencies)
	return s, context.Cause(ctx)
}

// load is work over HTTP, each client with a connection of its own, and what the
// server took for it. Size is that of the body of one operation.
func (e *endpoint) load(ctx context.Context, a amount, size int64, operate operation) (sample, error) {
	connections := make([]*connection, a.clients)
	for i := range connections {
		c := &connection{endpoint: e}
		defer c.close()
		if err := c.dial(ctx); err != nil {
			return sample{}, err
		}
		connections[i] = c
	}
	return e.observe(func() (sample, error) {
		s, err := work(ctx, a, func(_ context.Context, client, i int) error { return operate(connections[client], i) })
		s.bytes = size * int64(s.operations)
		return s, err
	})
}

// observe adds what the server took in CPU time and memory meanwhile.
func (e *endpoint) observe(do func() (sample, error)) (sample, error) {
	if e.process == nil {
		return do()
	}
	before, err := e.process.usage()
	if err != nil {
		return sample{}, err
	}
	if err := e.process.resetPeak(); err != nil {
		return sample{}, err
	}
	s, err := do()
	if err != nil {
		return s, err
	}
	after, err := e.process.usage()
	s.cpu, s.peak = after.cpu-before.cpu, after.peak
	return s, err
}
