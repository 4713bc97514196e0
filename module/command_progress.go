package module

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// How often progress is shown: on a terminal one line changes, elsewhere lines are
// added.
const (
	terminalInterval = 200 * time.Millisecond
	plainInterval    = 5 * time.Second
)

// progressLine shows how far a command is.
type progressLine struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu    sync.Mutex
	shown time.Time
	width int // of the line on the terminal
}

func newProgressLine(out io.Writer) *progressLine {
	file, isFile := out.(*os.File)
	return &progressLine{out: out, terminal: isFile && term.IsTerminal(int(file.Fd())), now: time.Now, shown: time.Now()}
}

// show shows the text if it is time to.
func (p *progressLine) show(text func() string) {
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
		fmt.Fprintln(p.out, text())
		return
	}
	p.replace(text())
}

func (p *progressLine) replace(line string) {
	fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

// end takes the line off the terminal.
func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.width > 0 {
		p.replace("")
		fmt.Fprint(p.out, "\r")
	}
}

// counted is a number of things.
func counted(count int64, what string) string {
	if count != 1 {
		what += "s"
	}
	return humanize.Comma(count) + " " + what
}

// amount is a number of things and their bytes.
func amount(count int64, what string, bytes int64) string {
	return counted(count, what) + ", " + humanize.IBytes(uint64(max(0, bytes)))
}

func elapsed(since time.Time) string {
	return time.Since(since).Round(10 * time.Millisecond).String()
}
