package main

import (
	"fmt"
	"slices"
	"strings"
)

// The panels of the chart, by what this Caddy is compared with.
const (
	againstStock  = "stock Caddy"
	againstNginx  = "nginx"
	againstLimits = "the limits of this machine"
	againstPeer   = "the peer"
	againstItself = "itself"
)

// row is one comparison: what is measured, and the ratio of this Caddy to another.
type row struct {
	cell, with, chart  string
	ours, theirs       string
	ratio, least, most float64
	less               bool    // less is better
	goal               float64 // ratio aimed at; 0 without one
	cpu, memory        string
	cpuRatio, cpuGoal  float64
	target             string
	met                bool
}

// comparison is what a target judges.
type comparison struct {
	ours, ratio float64 // medians
	difference  float64 // this minus the other
	cpuRatio    float64
	mostSent    int64
}

// target is what the project wants of a cell.
type target struct {
	with string // name of the side; "" for the last one
	text string
	met  func(comparison) bool

	goal, cpuGoal float64 // ratios, for the chart
}

func atLeast(with string, ratio float64) target {
	return target{with: with, goal: ratio, text: fmt.Sprintf("≥ %.2g ×", ratio), met: func(c comparison) bool { return c.ratio >= ratio }}
}

func atMost(with string, ratio float64) target {
	return target{with: with, goal: ratio, text: fmt.Sprintf("≤ %.2g ×", ratio), met: func(c comparison) bool { return c.ratio <= ratio }}
}

func cpuAtMost(with string, ratio float64) target {
	return target{with: with, cpuGoal: ratio, text: fmt.Sprintf("CPU ≤ %.2g ×", ratio), met: func(c comparison) bool { return c.cpuRatio <= ratio }}
}

func atMostMore(with string, mib float64) target {
	return target{with: with, text: fmt.Sprintf("≤ + %.0f MiB", mib), met: func(c comparison) bool { return c.difference <= mib }}
}

func below(figure float64) target {
	return target{text: fmt.Sprintf("< %.3g ms", figure), met: func(c comparison) bool { return c.ours < figure }}
}

func atMostSeconds(figure float64) target {
	return target{text: fmt.Sprintf("≤ %.3g s", figure), met: func(c comparison) bool { return c.ours <= figure }}
}

func nothingSent() target {
	return target{text: "no byte sent", met: func(c comparison) bool { return c.mostSent == 0 }}
}

// rows compares a cell's first side with each other one.
func (r *result) rows() (rows []row) {
	for i := 1; i < len(r.sides); i++ {
		rows = append(rows, r.row(i))
	}
	return rows
}

func (r *result) row(other int) row {
	ours, theirs := r.figures(0, r.measure.of), r.figures(other, r.measure.of)
	ratios := divided(ours, theirs)
	side := r.sides[other]
	c := comparison{ours: median(ours), ratio: median(ratios), difference: median(ours) - median(theirs)}
	for _, s := range r.samples[0] {
		c.mostSent = max(c.mostSent, s.sent)
	}
	out := row{
		cell: r.name, with: side.label, chart: side.chart, less: r.measure.less,
		ours: figure(median(ours), r.measure.unit), theirs: figure(median(theirs), r.measure.unit),
		ratio: c.ratio, least: slices.Min(ratios), most: slices.Max(ratios), met: true,
	}
	if c.mostSent > 0 {
		out.ours += fmt.Sprintf(", %s sent", figure(float64(c.mostSent)/mebibyte, "MiB"))
	}
	if r.measure.cpu != nil {
		out.cpu, c.cpuRatio = beside(r.figures(0, r.measure.cpu), r.figures(other, r.measure.cpu), r.measure.cpuUnit)
	}
	peak := func(s sample) float64 { return float64(s.peak) / mebibyte }
	out.cpuRatio = c.cpuRatio
	out.memory, _ = beside(r.figures(0, peak), r.figures(other, peak), "MiB")
	var texts []string
	for _, t := range r.targets {
		if t.with != side.name && (t.with != "" || other != len(r.sides)-1) {
			continue
		}
		texts = append(texts, t.text+" "+map[bool]string{true: "met", false: "**missed**"}[t.met(c)])
		out.met = out.met && t.met(c)
		out.goal, out.cpuGoal = max(out.goal, t.goal), max(out.cpuGoal, t.cpuGoal)
	}
	out.target = strings.Join(texts, "; ")
	return out
}

// beside is two figures in one column, as far as they are known, and their ratio.
func beside(ours, theirs []float64, unit string) (text string, ratio float64) {
	a, b := median(ours), median(theirs)
	switch {
	case a == 0:
		return "", 0
	case b == 0:
		return figure(a, unit), 0
	}
	return fmt.Sprintf("%s : %s", figure(a, ""), figure(b, unit)), median(divided(ours, theirs))
}

func divided(a, b []float64) []float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		if b[i] != 0 {
			ratios[i] = a[i] / b[i]
		}
	}
	return ratios
}

// figure has three digits.
func figure(v float64, unit string) string {
	text := fmt.Sprintf("%.3g", v)
	if v >= 100 {
		text = grouped(int(v + 0.5))
	}
	switch unit {
	case "", "/s":
		return text + unit
	}
	return text + " " + unit
}

func ratioText(v float64) string {
	switch {
	case v >= 100:
		return grouped(int(v + 0.5))
	case v < 0.1:
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// markdown is the table, aligned so that it can be read as it is.
func markdown(s setting, rows []row) string {
	cells := [][]string{{"", "this Caddy", "compared with", "", "ratio", "in all rounds", "CPU", "peak memory", "target"}}
	for _, r := range rows {
		cells = append(cells, []string{r.cell, r.ours, r.with, r.theirs, ratioText(r.ratio) + " ×",
			ratioText(r.least) + "–" + ratioText(r.most), r.cpu, r.memory, r.target})
	}
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, text := range line {
			widths[i] = max(widths[i], len([]rune(text)), 3)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", s)
	for n, line := range cells {
		for i, text := range line {
			fmt.Fprintf(&b, "| %-*s ", widths[i], text)
		}
		b.WriteString("|\n")
		for i := 0; n == 0 && i < len(line); i++ {
			fmt.Fprintf(&b, "|%s", strings.Repeat("-", widths[i]+2))
		}
		if n == 0 {
			b.WriteString("|\n")
		}
	}
	return b.String()
}
