// Command bench measures this Caddy beside stock Caddy, the limits of the machine and
// any other server with the same API, round by round, and writes a table of ratios.
// Figures of different minutes or machines say little; ratios of one run do.
//
//	go run ./integration/bench -markdown table.md -svg chart.svg
//	go run ./integration/bench -cells '^GET' -rounds 9
//	go run ./integration/bench -benchfmt > new.txt   # for benchstat -col /server
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

type options struct {
	rounds    int
	seconds   float64
	cells     string
	quick     bool
	scale     int
	dir       string
	caddy     string
	stock     string
	peer      string
	peerAuth  string
	peerOwner string
	markdown  string
	svg       string
	benchfmt  bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each cell is measured (1 with -quick)")
	flag.Float64Var(&o.seconds, "seconds", 2, "how long each side of a cell runs in a round; CPU times have a unit of 10 ms (0.05 with -quick)")
	flag.StringVar(&o.cells, "cells", "", "measure only the cells whose name matches this regular expression")
	flag.BoolVar(&o.quick, "quick", false, "every kind of cell at tiny sizes: shows that it works, measures nothing")
	flag.IntVar(&o.scale, "scale", 0, "fill a registry with this many files and measure it beside an empty one (0: do not; 300 with -quick)")
	flag.StringVar(&o.dir, "dir", "", "directory on the disk to measure; a new one in it is removed at the end (default: the working directory)")
	flag.StringVar(&o.caddy, "caddy", "", "binary to measure in place of this Caddy")
	flag.StringVar(&o.stock, "stock", "", "binary to measure in place of stock Caddy")
	flag.StringVar(&o.peer, "peer", "", "base URL of another registry to compare with, such as a Gitea")
	flag.StringVar(&o.peerAuth, "peer-auth", "", "user:password for it")
	flag.StringVar(&o.peerOwner, "peer-owner", owner, "owner there whose packages the user may write and anyone read")
	flag.StringVar(&o.markdown, "markdown", "", "file for the table as Markdown")
	flag.StringVar(&o.svg, "svg", "", "file for a chart")
	flag.BoolVar(&o.benchfmt, "benchfmt", false, "print lines for benchstat in place of the table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	match, err := regexp.Compile(o.cells)
	if err != nil {
		return err
	}
	s := o.scope()
	var peer *endpoint
	if o.peer != "" {
		if peer, err = parseEndpoint(o.peer, o.peerOwner, o.peerAuth); err != nil {
			return err
		}
	}
	above, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(above, ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := buildBoth(ctx, &o, dir); err != nil {
		return err
	}
	setting := describe(ctx, dir, o.stock, os.Args[1:], o.rounds)
	lab, err := newLab(ctx, s, dir, o.caddy, o.stock, peer, os.Stderr)
	defer lab.close()
	if err != nil {
		return err
	}
	results, err := measureAll(ctx, lab.cells(), match, o.rounds, lab.progress)
	if err := errors.Join(err, lab.cleanPeer()); err != nil {
		return err
	}
	return o.report(os.Stdout, setting, results)
}

// scope is what the flags make of it; those that were given count.
func (o *options) scope() scope {
	s, given := full, map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick {
		s = quick
		if !given["rounds"] {
			o.rounds = 1
		}
		if !given["seconds"] {
			o.seconds = 0.05
		}
	}
	if given["scale"] {
		s.scale = o.scale
	}
	o.rounds = max(1, o.rounds)
	s.seconds = time.Duration(o.seconds * float64(time.Second))
	return s
}

// buildBoth builds the binaries that are not given.
func buildBoth(ctx context.Context, o *options, dir string) error {
	for _, b := range []struct {
		binary *string
		pkg    string
	}{{&o.caddy, "integration/caddy"}, {&o.stock, "integration/bench/stock"}} {
		if *b.binary != "" {
			continue
		}
		*b.binary = filepath.Join(dir, "bin", filepath.Base(b.pkg))
		if err := build(ctx, b.pkg, *b.binary); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) report(w io.Writer, s setting, results []*result) error {
	var rows []row
	for _, r := range results {
		rows = append(rows, r.rows()...)
	}
	table := markdown(s, rows)
	if o.benchfmt {
		writeBenchmarks(w, s, results)
	} else {
		fmt.Fprint(w, table)
	}
	if o.markdown != "" {
		if err := os.WriteFile(o.markdown, []byte(table), 0o644); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, []byte(chart(s, rows)), 0o644)
	}
	return nil
}
