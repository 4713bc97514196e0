package registry

import (
	"bytes"
	"fmt"
)

// ReadLines reads whole lines of a journal that follow a position, calls use for
// each, and returns the position after them. ErrDamaged, ErrFormat.
func ReadLines(lines []byte, after Position, use func(Change) error) (Position, error) {
	for line := range bytes.Lines(lines) {
		next := after.Sequence + 1
		change, chain, err := ParseLine(line, after.Chain)
		if err == nil && change.Sequence != next {
			err = fmt.Errorf("%w: its number is %d", ErrDamaged, change.Sequence)
		}
		if err == nil {
			after = Position{Sequence: next, Chain: chain}
			err = use(change)
		}
		if err != nil {
			return after, fmt.Errorf("line of change %d: %w", next, err)
		}
	}
	return after, nil
}

// bytesAtOnce is how much of a journal is in memory at once, or a little more.
const bytesAtOnce = 1 << 20

// linePiece is some lines of a journal that follow each other.
type linePiece struct {
	first, last uint64
	lines       []byte
	changes     []Change
}

// lineGatherer takes the lines of a journal, in pieces of any size, and hands them
// on checked.
type lineGatherer struct {
	at      Position // after the lines that were handed on
	use     func(linePiece) error
	failed  error // of use
	pending []byte
	changes []Change
}

// Write implements io.Writer.
func (g *lineGatherer) Write(p []byte) (int, error) {
	g.pending = append(g.pending, p...)
	if len(g.pending) < bytesAtOnce {
		return len(p), nil
	}
	return len(p), g.flush()
}

// flush hands on the whole lines that there are.
func (g *lineGatherer) flush() error {
	end := bytes.LastIndexByte(g.pending, '\n') + 1
	if end == 0 {
		return nil
	}
	first := g.at.Sequence + 1
	g.changes = g.changes[:0]
	var err error
	g.at, err = ReadLines(g.pending[:end], g.at, func(change Change) error {
		g.changes = append(g.changes, change)
		return nil
	})
	if err == nil {
		g.failed = g.use(linePiece{first: first, last: g.at.Sequence, lines: g.pending[:end], changes: g.changes})
		err = g.failed
	}
	g.pending = g.pending[:copy(g.pending, g.pending[end:])]
	return err
}
