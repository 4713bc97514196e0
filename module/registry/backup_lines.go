package registry

import (
	"bytes"
	"fmt"
)

// ReadLines reads whole lines of a journal that follow a position, calls use for
// each, and returns the position after them: after the last line of a checkpoint that is
// the one that it stands for. ErrDamaged, ErrFormat.
func ReadLines(lines []byte, after Position, use func(Change) error) (Position, error) {
	for line := range bytes.Lines(lines) {
		next := after.Sequence + 1
		change, chain, err := ParseLine(line, after.Chain)
		if err == nil && change.Sequence != next {
			err = fmt.Errorf("%w: its number is %d", ErrDamaged, change.Sequence)
		}
		if err == nil {
			after, err = change.position(chain)
		}
		if err == nil {
			err = use(change)
		}
		if err != nil {
			return after, fmt.Errorf("line of change %d: %w", next, err)
		}
	}
	return after, nil
}

// position is where a journal is after the line of a change.
func (c Change) position(chain Digest) (Position, error) {
	switch {
	case c.Operation != OperationEnd:
		return Position{Sequence: c.Sequence, Chain: chain}, nil
	case c.Checkpoint == nil:
		return Position{}, fmt.Errorf("%w: a checkpoint that does not say what it stands for", ErrDamaged)
	}
	return c.Checkpoint.At, nil
}

// bytesAtOnce is how much of a journal is in memory at once, or a little more.
const bytesAtOnce = 1 << 20

// linePiece is some lines of a journal that follow each other.
type linePiece struct {
	first, last uint64
	checkpoint  bool // they are of a checkpoint
	lines       []byte
	changes     []Change
}

// lineGatherer takes the lines of a journal, in pieces of any size, and hands them
// on checked. A checkpoint ends with a piece.
type lineGatherer struct {
	at         Position // after the lines that were handed on
	checkpoint bool     // one has begun, and not ended
	use        func(linePiece) error
	failed     error // of use
	pending    []byte
	changes    []Change
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
	for {
		rest, err := g.hand()
		if err != nil || rest == len(g.pending) {
			return err
		}
		g.pending = g.pending[:copy(g.pending, g.pending[len(g.pending)-rest:])]
	}
}

// hand hands on a piece, and returns how many bytes come after it.
func (g *lineGatherer) hand() (rest int, err error) {
	end := bytes.LastIndexByte(g.pending, '\n') + 1
	piece := linePiece{first: g.at.Sequence + 1}
	g.changes = g.changes[:0]
	read := 0
	for line := range bytes.Lines(g.pending[:end]) {
		read += len(line)
		if g.at, err = ReadLines(line, g.at, func(change Change) error {
			g.changes = append(g.changes, change)
			return nil
		}); err != nil {
			return 0, err
		}
		change := g.changes[len(g.changes)-1]
		piece.last = change.Sequence
		g.checkpoint = g.checkpoint || change.Operation == OperationCheckpoint
		piece.checkpoint = g.checkpoint
		if change.Operation == OperationEnd {
			g.checkpoint = false
			break
		}
	}
	if read == 0 {
		return len(g.pending), nil
	}
	piece.lines, piece.changes = g.pending[:read], g.changes
	g.failed = g.use(piece)
	return len(g.pending) - read, g.failed
}
