package push

import (
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
)

// meter shows how far all files together are. It may be used by several goroutines at once.
type meter struct {
	line *terminal.Line

	mu    sync.Mutex
	step  terminal.Step
	bytes map[string]int64 // that have gone over, of each file
}

func newMeter(out io.Writer, what string, files int, total int64, quiet bool) *meter {
	if quiet {
		out = io.Discard
	}
	step := terminal.Step{What: what, Unit: "file", Total: int64(files), TotalBytes: total}
	return &meter{line: terminal.NewLine(out), step: step, bytes: make(map[string]int64)}
}

// stand says how much of a file the other side has.
func (m *meter) stand(name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(name, bytes-m.bytes[name])
	m.line.Show(m.step)
}

func (m *meter) add(name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(name, bytes)
	m.line.Show(m.step)
}

// count requires m.mu.
func (m *meter) count(name string, bytes int64) {
	m.step.Bytes += bytes
	m.bytes[name] += bytes
}

// finished says what became of a file, above the bar.
func (m *meter) finished(name string, size int64, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.step.Done++
	m.count(name, size-m.bytes[name])
	fmt.Fprintln(m.line, text)
}

// say prints a line above the bar.
func (m *meter) say(format string, arguments ...any) { fmt.Fprintf(m.line, format+"\n", arguments...) }

// end takes the bar off the terminal.
func (m *meter) end() { m.line.End() }

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
