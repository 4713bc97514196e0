package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fresh runs something on a registry of its own that has nothing in it.
func (l *lab) fresh(ctx context.Context, do func(*registryServer) (sample, error)) (sample, error) {
	dir := filepath.Join(l.dir, fmt.Sprintf("fresh-%d", l.sequence.Add(1)))
	defer os.RemoveAll(dir)
	r, err := startRegistry(ctx, l.caddy, dir)
	if err != nil {
		return sample{}, err
	}
	defer r.kill()
	return do(r)
}

// idle is what a process that serves nobody has resident.
func (l *lab) idle(ctx context.Context, p *process) (sample, error) {
	// What starting took is given back to the system: nothing says when.
	select {
	case <-time.After(l.settle):
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
	u, err := p.usage()
	return sample{memory: u.resident, peak: u.peak}, err
}

func (l *lab) idleRegistry(ctx context.Context) (sample, error) {
	return l.fresh(ctx, func(r *registryServer) (sample, error) { return l.idle(ctx, r.process) })
}

func (l *lab) idleStock(ctx context.Context) (sample, error) {
	dir := filepath.Join(l.dir, fmt.Sprintf("fresh-%d", l.sequence.Add(1)))
	defer os.RemoveAll(dir)
	s, err := startStock(ctx, l.stockPath, dir, l.small)
	if err != nil {
		return sample{}, err
	}
	defer s.kill()
	return l.idle(ctx, s.process)
}

func (l *lab) memoryCells() []*cell {
	stock := side{name: "stock", label: "idle stock Caddy", chart: againstStock, run: l.idleStock}
	return []*cell{
		{
			name: "memory, idle", benchmark: "Memory/idle", measure: resident, targets: []target{atMostMore("stock", 40)},
			sides: []side{{name: "registry", label: "this Caddy", run: l.idleRegistry}, stock},
		},
		l.busyMemory(fmt.Sprintf("memory, %d uploads of %s at once", l.scope.uploads, sizeName(l.medium)), fmt.Sprintf("Memory/uploads=%d", l.scope.uploads),
			[]target{atMostMore("idle", 96)},
			func(ctx context.Context, e *endpoint) error {
				n := l.scope.uploads
				_, _, err := l.publish(ctx, e, amount{clients: n, limit: n}, l.medium, true)
				return err
			}),
	}
}

// busyMemory compares the peak of a fresh registry while something is done with what
// it had before.
func (l *lab) busyMemory(name, benchmark string, targets []target, do func(context.Context, *endpoint) error) *cell {
	var idle sample
	return &cell{
		name: name, benchmark: benchmark, measure: resident, targets: targets, inOrder: true,
		sides: []side{
			{name: "registry", label: "this Caddy", run: func(ctx context.Context) (sample, error) {
				return l.fresh(ctx, func(r *registryServer) (s sample, err error) {
					if idle, err = l.idle(ctx, r.process); err != nil {
						return s, err
					}
					s, err = r.password.observe(func() (sample, error) { return sample{}, do(ctx, r.password) })
					s.memory = s.peak
					return s, err
				})
			}},
			{name: "idle", label: "itself, idle", chart: againstItself, run: func(context.Context) (sample, error) { return idle, nil }},
		},
	}
}
