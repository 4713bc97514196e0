package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"
)

// cell is something that each of its sides does, back to back in each round. The
// first side is what the others are compared with.
type cell struct {
	name      string // in prose
	benchmark string // after Benchmark, in Go's format
	measure   measure
	sides     []side
	targets   []target

	// inOrder says that a side needs what the one before left.
	inOrder bool
	// once says that the cell cannot be repeated: it runs in the last round.
	once bool
}

// side is one of those that are compared.
type side struct {
	name  string // in benchmark names
	label string // in prose
	chart string // the panel of the chart that the comparison with this side is in

	// check looks once, before the first round, whether the answers are right.
	check func(context.Context) error
	run   func(context.Context) (sample, error)
}

// measure is what a cell is about.
type measure struct {
	unit string // of the figure
	of   func(sample) float64
	less bool // less is better

	cpuUnit string
	cpu     func(sample) float64
}

var (
	cpuEach  = func(s sample) float64 { return float64(s.cpu.Microseconds()) / float64(s.operations) }
	cpuBytes = func(s sample) float64 { return s.cpu.Seconds() / (float64(s.bytes) / gibibyte) }

	operations = measure{unit: "/s", cpuUnit: "µs", cpu: cpuEach,
		of: func(s sample) float64 { return float64(s.operations) / s.seconds() }}
	throughput = measure{unit: "MiB/s", cpuUnit: "s/GiB", cpu: cpuBytes,
		of: func(s sample) float64 { return float64(s.bytes) / mebibyte / s.seconds() }}
	milliseconds = measure{unit: "ms", less: true, cpuUnit: "µs", cpu: cpuEach,
		of: func(s sample) float64 { return float64(s.latency(0.5).Microseconds()) / 1000 }}
	seconds = measure{unit: "s", less: true,
		of: func(s sample) float64 { return s.seconds() }}
	resident = measure{unit: "MiB", less: true,
		of: func(s sample) float64 { return float64(s.memory) / mebibyte }}
	space = measure{unit: "MiB", less: true,
		of: func(s sample) float64 { return float64(s.bytes) / mebibyte }}
	number = measure{less: true,
		of: func(s sample) float64 { return float64(s.operations) }}
)

// result is a cell with its samples: of each side, one a round.
type result struct {
	*cell
	samples [][]sample
}

// measureAll runs the cells that match, round by round.
func measureAll(ctx context.Context, cells []*cell, match *regexp.Regexp, rounds int, progress io.Writer) ([]*result, error) {
	var results []*result
	for _, c := range cells {
		if match.MatchString(c.name) {
			results = append(results, &result{cell: c, samples: make([][]sample, len(c.sides))})
		}
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no cell matches %q", match)
	}
	for round := range rounds {
		for _, r := range results {
			if r.once && round < rounds-1 {
				continue
			}
			if err := r.round(ctx, round, progress); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return results, nil
}

// round measures each side once; which one begins changes from round to round.
func (r *result) round(ctx context.Context, round int, progress io.Writer) error {
	order := make([]int, len(r.sides))
	for i := range order {
		order[i] = i
		if !r.inOrder {
			order[i] = (i + round) % len(order)
		}
	}
	said := ""
	for _, i := range order {
		side := r.sides[i]
		if side.check != nil && len(r.samples[i]) == 0 {
			if err := side.check(ctx); err != nil {
				return err
			}
		}
		s, err := side.run(ctx)
		if err != nil {
			return err
		}
		r.samples[i] = append(r.samples[i], s)
		said += fmt.Sprintf("  %s %s", side.name, figure(r.measure.of(s), r.measure.unit))
	}
	fmt.Fprintf(progress, "%s  round %d: %s:%s\n", time.Now().Format(time.TimeOnly), round+1, r.name, said)
	return nil
}

// figures are the sides' figures, one a round.
func (r *result) figures(side int, of func(sample) float64) []float64 {
	var all []float64
	for _, s := range r.samples[side] {
		all = append(all, of(s))
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
