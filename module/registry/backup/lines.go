package backup

import (
	"bytes"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// bytesAtOnce is how much of a journal is in memory at once, or a little more.
const bytesAtOnce = 1 << 20

// linePiece is some lines of a journal that follow each other.
type linePiece struct {
	first, last uint64
	checkpoint  bool // they are of a checkpoint
	lines       []byte
	changes     []store.Change
}

// lineGatherer takes the lines of a journal, in pieces of any size, and hands them
// on checked. A checkpoint ends with a piece.
type lineGatherer struct {
	at         store.Position // after the lines that were handed on
	checkpoint bool           // one has begun, and not ended
	use        func(linePiece) error
	failed     error // of use
	pending    []byte
	changes    []store.Change
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
		if g.at, err = jsonl.ReadLines(line, g.at, func(change store.Change) error {
			g.changes = append(g.changes, change)
			return nil
		}); err != nil {
			return 0, err
		}
		change := g.changes[len(g.changes)-1]
		piece.last = change.Sequence
		g.checkpoint = g.checkpoint || change.Operation == store.OperationCheckpoint
		piece.checkpoint = g.checkpoint
		if change.Operation == store.OperationEnd {
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
