package command

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// How often progress is shown: on a terminal a bar changes, elsewhere lines are added.
const (
	terminalInterval = 100 * time.Millisecond
	plainInterval    = 5 * time.Second
)

// step is how far a command is.
type step struct {
	// what is being done, such as "restoring monday.tar".
	what string
	// unit is what is counted: blobs or changes.
	unit string
	// done and total count units. A total of zero is not known.
	done, total int64
	// bytes and totalBytes are theirs. Both are zero where units have no bytes.
	bytes, totalBytes int64
	// note is said besides. Empty is nothing.
	note string
}

// percent is how much is done. Known is false where the total is not known.
func (s step) percent() (percent int, known bool) {
	done, total := s.bytes, s.totalBytes
	if total == 0 {
		done, total = s.done, s.total
	}
	if total == 0 {
		return 0, false
	}
	return int(min(100, 100*float64(done)/float64(total))), true
}

// String is the step as a line: with its percentage, where that is known.
func (s step) String() string {
	if percent, known := s.percent(); known {
		return s.say(fmt.Sprintf("%d%% of %s", percent, s.amount(s.total, s.totalBytes)))
	}
	return s.say(s.amount(s.done, s.bytes))
}

// beside is the step as a text beside a bar, which has the percentage.
func (s step) beside() string {
	if _, known := s.percent(); known {
		return s.say(s.amount(s.total, s.totalBytes))
	}
	return s.String()
}

func (s step) say(amount string) string {
	text := s.what + ": " + amount
	if s.note != "" {
		text += ", " + s.note
	}
	return text
}

func (s step) amount(count, bytes int64) string {
	if s.bytes == 0 && s.totalBytes == 0 {
		return counted(count, s.unit)
	}
	return amount(count, s.unit, bytes)
}

// progressLine shows how far a command is: a bar on a terminal, lines elsewhere. It may
// be used by several goroutines at once.
type progressLine struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu    sync.Mutex
	shown time.Time
	bar   *progressbar.ProgressBar
	last  string // what the bar is of
}

func newProgressLine(out io.Writer) *progressLine {
	p := &progressLine{out: out, terminal: isTerminal(out), now: time.Now}
	if !p.terminal {
		p.shown = time.Now() // what is soon done needs no line
	}
	return p
}

func isTerminal(out io.Writer) bool {
	file, isFile := out.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// show shows a step if it is time to.
func (p *progressLine) show(s step) {
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
func (p *progressLine) draw(s step) {
	percent, known := s.percent()
	if p.bar == nil || p.last != s.what {
		p.clear()
		total := 100
		if !known {
			total = -1 // a spinner
		}
		p.last = s.what
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

func (p *progressLine) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// replaying shows how far a database is that is made out of a journal.
func (p *progressLine) replaying(what string) func(store.Progress) {
	return func(now store.Progress) {
		if now.Done > 0 {
			p.show(step{what: what, unit: "change", done: int64(now.Done), total: int64(now.Total)})
		}
	}
}

// end takes the bar off the terminal.
func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// Write implements io.Writer for what is to be printed above the bar.
func (p *progressLine) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.out.Write(text)
}
