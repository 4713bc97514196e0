package main

import (
	"fmt"
	"io"
	"runtime"
)

// writeBenchmarks writes a line for each side and round in the format of Go's
// benchmarks, which benchstat reads: benchstat -col /server compares the sides.
func writeBenchmarks(w io.Writer, s setting, results []*result) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: %s/integration/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, modulePath, s.cpu)
	for _, r := range results {
		for i, side := range r.sides {
			for _, sample := range r.samples[i] {
				fmt.Fprintf(w, "Benchmark%s/server=%s %s\n", r.benchmark, side.name, r.measure.benchmark(sample))
			}
		}
	}
}

// benchmark is what follows a benchmark's name: how often, and values with units.
func (m measure) benchmark(s sample) (line string) {
	if m.unit == resident.unit {
		return fmt.Sprintf("1 %d B-resident", s.memory)
	}
	n := max(1, s.operations)
	line = fmt.Sprintf("%d %.0f ns/op", n, float64(s.elapsed.Nanoseconds())/float64(n))
	if m.unit == milliseconds.unit {
		line = fmt.Sprintf("%d %d ns/op", n, s.latency(0.5).Nanoseconds())
	}
	if s.bytes > 0 {
		line += fmt.Sprintf(" %.2f MB/s", float64(s.bytes)/1e6/s.seconds())
	}
	if s.cpu > 0 {
		line += fmt.Sprintf(" %.0f cpu-ns/op", float64(s.cpu.Nanoseconds())/float64(n))
	}
	if s.peak > 0 {
		line += fmt.Sprintf(" %d B-peak", s.peak)
	}
	return line
}
