package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// How often progress is shown: on a terminal a bar changes, elsewhere lines are added.
const (
	terminalInterval = 100 * time.Millisecond
	plainInterval    = 5 * time.Second
)

// Step is how far a command is.
type Step struct {
	// What is being done, such as "restoring monday.tar".
	What string
	// Unit is what is counted: blobs, files or changes.
	Unit string
	// Done and Total count units. A total of zero is not known.
	Done, Total int64
	// Bytes and TotalBytes are theirs. Both are zero where units have no bytes.
	Bytes, TotalBytes int64
	// Note is said besides. Empty is nothing.
	Note string
}

// percent is how much is done. Known is false where the total is not known.
func (s Step) percent() (percent int, known bool) {
	done, total := s.Bytes, s.TotalBytes
	if total == 0 {
		done, total = s.Done, s.Total
	}
	if total == 0 {
		return 0, false
	}
	return int(min(100, 100*float64(done)/float64(total))), true
}

// String is the step as a line: with its percentage, where that is known.
func (s Step) String() string {
	if percent, known := s.percent(); known {
		return s.say(fmt.Sprintf("%d%% of %s", percent, s.amount(s.Total, s.TotalBytes)))
	}
	return s.say(s.amount(s.Done, s.Bytes))
}

// beside is the step as a text beside a bar, which has the percentage.
func (s Step) beside() string {
	if _, known := s.percent(); known {
		return s.say(s.amount(s.Total, s.TotalBytes))
	}
	return s.String()
}

func (s Step) say(amount string) string {
	text := s.What + ": " + amount
	if s.Note != "" {
		text += ", " + s.Note
	}
	return text
}

func (s Step) amount(count, bytes int64) string {
	if s.Bytes == 0 && s.TotalBytes == 0 {
		return Counted(count, s.Unit)
	}
	return Amount(count, s.Unit, bytes)
}

// Line shows how far a command is: a bar on a terminal, lines elsewhere. It may
// be used by several goroutines at once.
type Line struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu    sync.Mutex
	shown time.Time
	bar   *progressbar.ProgressBar
	last  string // what the bar is of
}

// NewLine returns a line that nothing is shown on yet.
func NewLine(out io.Writer) *Line {
	p := &Line{out: out, terminal: Is(out), now: time.Now}
	if !p.terminal {
		p.shown = time.Now() // what is soon done needs no line
	}
	return p
}

// Is tells whether somebody may be looking at what is written.
func Is(out io.Writer) bool {
	file, isFile := out.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// Show shows a step if it is time to.
func (p *Line) Show(s Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	interval := plainInterval
	if p.terminal {
		interval = terminalInterval
	}
	now := p.now()
	if now.Sub(p.shown) < interval {
		return
	}
	p.shown = now
	if !p.terminal {
		fmt.Fprintln(p.out, s)
		return
	}
	p.draw(s)
}

// draw draws the bar. Errors of the terminal are nobody's to handle.
func (p *Line) draw(s Step) {
	percent, known := s.percent()
	if p.bar == nil || p.last != s.What {
		p.clear()
		total := 100
		if !known {
			total = -1 // a spinner
		}
		p.last = s.What
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.out), progressbar.OptionFullWidth(), progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(known), progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionSetRenderBlankState(false), progressbar.OptionSpinnerType(14))
	}
	p.bar.Describe(s.beside())
	if known {
		_ = p.bar.Set(min(percent, 99)) // the command's end is the end, not the bar's
		return
	}
	_ = p.bar.Add(1)
}

func (p *Line) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// Replaying shows how far a database is that is made out of a journal.
func (p *Line) Replaying(what string) func(waiting.Progress) {
	return func(now waiting.Progress) {
		if now.Done > 0 {
			p.Show(Step{What: what, Unit: "change", Done: int64(now.Done), Total: int64(now.Total)})
		}
	}
}

// End takes the bar off the terminal.
func (p *Line) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// Write implements io.Writer for what is to be printed above the bar.
func (p *Line) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.out.Write(text)
}
