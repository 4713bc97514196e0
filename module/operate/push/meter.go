package push

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// How often progress is shown: on a terminal a bar changes, elsewhere lines are added.
const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 5 * time.Second
)

// meter shows how far all files together are: a bar on a terminal, lines elsewhere. It
// may be used by several goroutines at once.
type meter struct {
	out   io.Writer
	total int64
	files int

	mu    sync.Mutex
	bar   *progressbar.ProgressBar // nil where there is no terminal
	bytes map[string]int64         // that have gone over, of each file
	done  int
	sum   int64
	shown time.Time
}

func newMeter(out io.Writer, what string, files int, total int64, quiet bool) *meter {
	m := &meter{out: out, files: files, total: total, bytes: make(map[string]int64), shown: time.Now()}
	file, isFile := out.(*os.File)
	if quiet {
		m.out = io.Discard
		return m
	}
	if isFile && term.IsTerminal(int(file.Fd())) {
		m.bar = progressbar.NewOptions64(max(total, 1), progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true),
			progressbar.OptionFullWidth(), progressbar.OptionUseANSICodes(true), progressbar.OptionThrottle(barInterval), progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetDescription(what), progressbar.OptionSetRenderBlankState(true))
	}
	return m
}

// stand says how much of a file the other side has.
func (m *meter) stand(name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum += bytes - m.bytes[name]
	m.bytes[name] = bytes
	m.show()
}

func (m *meter) add(name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum += bytes
	m.bytes[name] += bytes
	m.show()
}

// show requires m.mu. Errors of a terminal are nobody's to handle.
func (m *meter) show() {
	if m.bar != nil {
		_ = m.bar.Set64(min(m.sum, max(m.total-1, 0))) // the command's end is the end, not the bar's
		return
	}
	if time.Since(m.shown) < lineInterval {
		return
	}
	m.shown = time.Now()
	fmt.Fprintf(m.out, "%d of %d files, %s of %s\n", m.done, m.files, humanize.IBytes(uint64(max(m.sum, 0))), humanize.IBytes(uint64(m.total)))
}

// finished says what became of a file, above the bar.
func (m *meter) finished(name string, size int64, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done++
	m.sum += size - m.bytes[name]
	m.bytes[name] = size
	m.say(text)
}

// line prints a line above the bar.
func (m *meter) line(format string, arguments ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.say(fmt.Sprintf(format, arguments...))
}

func (m *meter) say(text string) {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
	fmt.Fprintln(m.out, text)
	if m.bar != nil {
		_ = m.bar.RenderBlank()
	}
}

// end takes the bar off the terminal.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bar != nil {
		_ = m.bar.Clear()
		m.bar = nil
	}
}

// read counts what is read of a file.
func (m *meter) read(name string, reader io.Reader) *counted {
	return &counted{reader: reader, name: name, meter: m}
}

type counted struct {
	reader io.Reader
	name   string
	meter  *meter

	mu    sync.Mutex // the transport may read while undo is called
	bytes int64
	over  bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.bytes += int64(n)
		c.meter.add(c.name, int64(n))
	}
	return n, err
}

// undo says that what was read has not arrived.
func (c *counted) undo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.meter.add(c.name, -c.bytes)
	c.bytes = 0
}
