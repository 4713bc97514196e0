package terminal

import (
	"fmt"
	"io"
	"sync"
)

// Meter shows how far all files of a command together are. Several goroutines may use it at
// once.
type Meter struct {
	line *Line

	mu    sync.Mutex
	step  Step
	bytes map[string]int64 // that were transferred, of each file
}

// NewMeter returns a meter that says what is done with how many files and bytes. A quiet one
// shows nothing.
func NewMeter(out io.Writer, what string, files int, total int64, quiet bool) *Meter {
	if quiet {
		out = io.Discard
	}
	step := Step{What: what, Unit: "file", Total: int64(files), TotalBytes: total}
	return &Meter{line: NewLine(out), step: step, bytes: make(map[string]int64)}
}

// Stand says how many bytes of a file the receiving side has.
func (m *Meter) Stand(name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(name, bytes-m.bytes[name])
	m.line.Show(m.step)
}

// Add counts bytes of a file more, or less.
func (m *Meter) Add(name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(name, bytes)
	m.line.Show(m.step)
}

// count requires m.mu.
func (m *Meter) count(name string, bytes int64) {
	m.step.Bytes += bytes
	m.bytes[name] += bytes
}

// Finished counts a file that is done, and prints above the bar what became of it.
func (m *Meter) Finished(name string, size int64, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.step.Done++
	m.count(name, size-m.bytes[name])
	fmt.Fprintln(m.line, text)
}

// Say prints a line above the bar.
func (m *Meter) Say(format string, arguments ...any) { fmt.Fprintf(m.line, format+"\n", arguments...) }

// End takes the bar off the terminal.
func (m *Meter) End() { m.line.End() }

// Reader returns a reader that counts the bytes read of a file.
func (m *Meter) Reader(name string, reader io.Reader) *MeteredReader {
	return &MeteredReader{reader: reader, name: name, meter: m}
}

// MeteredReader counts what is read of a file.
type MeteredReader struct {
	reader io.Reader
	name   string
	meter  *Meter

	mu    sync.Mutex // the transport may read while Undo is called
	bytes int64
	over  bool // nothing counts any more
}

func (c *MeteredReader) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.bytes += int64(n)
		c.meter.Add(c.name, int64(n))
	}
	return n, err
}

// Undo takes back what was counted: the bytes have not arrived.
func (c *MeteredReader) Undo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.meter.Add(c.name, -c.bytes)
	c.bytes = 0
}
