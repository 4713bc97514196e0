package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Columns of the chart, in its own units.
const (
	chartWidth = 900
	plotLeft   = 360 // labels are left of it
	plotRight  = 790 // ratios are right of it
	lineHeight = 16
	labelWidth = 50 // characters
)

// panel is a part of the chart with an axis of its own.
type panel struct {
	title, axis string
	bars        []bar
}

// bar is a ratio on a logarithmic axis: from 1, where both are equal, to what it is.
type bar struct {
	label              []string // lines
	with               string
	ratio, least, most float64
	target             float64 // 0 without one
	behind             bool
}

// panelsOf sorts the comparisons into panels.
func panelsOf(rows []row) (panels []panel) {
	add := func(title, axis string, b bar) {
		i := slices.IndexFunc(panels, func(p panel) bool { return p.title == title })
		if i < 0 {
			i, panels = len(panels), append(panels, panel{title: title, axis: axis})
		}
		panels[i].bars = append(panels[i].bars, b)
	}
	for _, against := range []string{againstStock, againstNginx, againstLimits, againstPeer, againstItself} {
		for _, r := range rows {
			if r.chart != against || r.less {
				continue
			}
			// The limits are out of reach: only what was aimed at can be missed.
			behind := r.ratio < r.goal || r.ratio < 0.95 && (against == againstStock || against == againstPeer)
			add("Speed, against "+against, "times as fast (more is better)", bar{wrapped(r.cell), r.with, r.ratio, r.least, r.most, r.goal, behind})
		}
	}
	for _, r := range rows {
		if r.chart == againstStock && r.cpuRatio > 0 {
			add("CPU time of the server, against "+againstStock, "times the CPU time for each operation (less is better)",
				bar{wrapped(r.cell), r.with, r.cpuRatio, r.cpuRatio, r.cpuRatio, r.cpuGoal, r.cpuRatio > 1.05 || r.cpuGoal > 0 && r.cpuRatio > r.cpuGoal})
		}
	}
	for _, r := range rows {
		if r.less {
			add("Time and memory", "times the time or the memory (less is better)", bar{wrapped(r.cell), r.with, r.ratio, r.least, r.most, 0, !r.met})
		}
	}
	for i := range panels {
		panels[i].nameOnce()
	}
	return panels
}

// nameOnce has the title say what all are compared with, where that is the same.
func (p *panel) nameOnce() {
	with := p.bars[0].with
	if len(p.bars) == 1 || slices.ContainsFunc(p.bars, func(b bar) bool { return b.with != with }) {
		return
	}
	p.title, _, _ = strings.Cut(p.title, ", against ")
	p.title += ", against " + plain(with)
	for i := range p.bars {
		p.bars[i].with = ""
	}
}

// chart draws the comparisons. Colours follow the reader's light or dark scheme.
func chart(s setting, rows []row) string {
	d := &drawing{}
	y := 30.0
	d.text(20, y, "title", "", "This Caddy, in ratios to others")
	for _, line := range []string{
		fmt.Sprintf("%s, %d cores, %s; %s; commit %s", s.cpu, s.cores, s.fileSystem, s.date, s.commit),
		fmt.Sprintf("Median of %s, each side measured back to back. Thin lines: all rounds. Red marks: targets. Orange: behind.", count(s.rounds, "round")),
	} {
		y += lineHeight + 2
		d.text(20, y, "with", "", line)
	}
	for _, p := range panelsOf(rows) {
		y = d.panel(p, y+44)
	}
	return d.document(y + 20)
}

func (d *drawing) panel(p panel, y float64) float64 {
	d.text(20, y, "panel", "", p.title)
	axis := axisOf(p.bars)
	top := y + 14
	bottom := top
	for _, b := range p.bars {
		bottom += b.height()
	}
	for _, tick := range axis.ticks() {
		class := "grid"
		if tick == 1 {
			class = "one"
		}
		d.line(axis.x(tick), top, axis.x(tick), bottom, class)
		d.text(axis.x(tick), bottom+lineHeight, "tick", "middle", fmt.Sprintf("%g ×", tick))
	}
	d.text((plotLeft+plotRight)/2, bottom+2*lineHeight, "tick", "middle", p.axis+", logarithmic")
	for _, b := range p.bars {
		d.bar(b, axis, top)
		top += b.height()
	}
	return bottom + 2*lineHeight
}

func (b bar) height() float64 { return float64(lineHeight*len(b.lines()) + 8) }

// lines are what is left of the bar.
func (b bar) lines() []string {
	if b.with == "" {
		return b.label
	}
	return append(slices.Clone(b.label), plain(b.with))
}

// plain is a text without the marks of Markdown.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

func (d *drawing) bar(b bar, a axis, top float64) {
	y := top + lineHeight
	for i, line := range b.lines() {
		class := "label"
		if i == len(b.label) {
			class = "with"
		}
		d.text(plotLeft-12, y, class, "end", line)
		y += lineHeight
	}
	class := "ahead"
	if b.behind {
		class = "behind"
	}
	middle := top + b.height()/2
	from, to := min(a.x(1), a.x(b.ratio)), max(a.x(1), a.x(b.ratio))
	d.rect(from, middle-6, max(to-from, 2), 12, class)
	d.line(a.x(b.least), middle, a.x(b.most), middle, "spread")
	if b.target > 0 {
		d.line(a.x(b.target), middle-9, a.x(b.target), middle+9, "target")
	}
	d.text(plotRight+14, middle+4, "label", "start", ratioText(b.ratio)+" ×")
}

// axis is logarithmic, between two of the steps 1, 2 and 5.
type axis struct{ least, most float64 }

func axisOf(bars []bar) axis {
	a := axis{1, 1}
	for _, b := range bars {
		for _, v := range []float64{b.ratio, b.least, b.most, b.target} {
			if v > 0 {
				a.least, a.most = min(a.least, v), max(a.most, v)
			}
		}
	}
	steps := axis{1e-6, 1e6}.steps()
	a.least = slices.MaxFunc(steps, func(x, y float64) int { return nearer(x, y, a.least, x <= a.least, y <= a.least) })
	a.most = slices.MaxFunc(steps, func(x, y float64) int { return nearer(x, y, a.most, x >= a.most, y >= a.most) })
	if a.least == a.most {
		a.least, a.most = 0.5, 2
	}
	return a
}

// nearer orders steps by how near they are to v, of those that are on its right side.
func nearer(x, y, v float64, xIn, yIn bool) int {
	switch {
	case xIn != yIn:
		return map[bool]int{true: 1, false: -1}[xIn]
	case math.Abs(math.Log(x/v)) < math.Abs(math.Log(y/v)):
		return 1
	}
	return -1
}

func (a axis) steps() (steps []float64) {
	for decade := -6; decade <= 6; decade++ {
		for _, step := range []float64{1, 2, 5} {
			v := step * math.Pow10(decade)
			if v >= a.least*0.999 && v <= a.most*1.001 {
				steps = append(steps, v)
			}
		}
	}
	return steps
}

// ticks are the steps, or of many those that are powers of ten.
func (a axis) ticks() []float64 {
	steps := a.steps()
	if len(steps) <= 9 {
		return steps
	}
	return slices.DeleteFunc(steps, func(v float64) bool { return math.Abs(math.Log10(v)-math.Round(math.Log10(v))) > 0.01 })
}

func (a axis) x(v float64) float64 {
	v = min(max(v, a.least), a.most)
	return plotLeft + (plotRight-plotLeft)*math.Log(v/a.least)/math.Log(a.most/a.least)
}

// wrapped breaks a label into lines.
func wrapped(text string) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > labelWidth {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
