package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestNamesOfLines(t *testing.T) {
	name := LinesName(7, 12_345)
	if want := "journal/0000000000000007-0000000000012345.jsonl"; name != want {
		t.Errorf("name is %s, want %s", name, want)
	}
	if first, last, checkpoint, err := ParseLinesName(name); first != 7 || last != 12_345 || checkpoint || err != nil {
		t.Errorf("it reads as %d, %d, %v", first, last, err)
	}
	for _, wrong := range []string{"", "journal/", "journal/7-12345.jsonl", name + ".new", "journal/0000000000000007-0000000000012345.json", strings.Replace(name, "journal", "x", 1)} {
		if _, _, _, err := ParseLinesName(wrong); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestLinesAreGatheredInPieces: whatever the pieces are in which they come, and
// however long they are.
func TestLinesAreGatheredInPieces(t *testing.T) {
	var lines []byte
	var at store.Position
	for at.Sequence < 30 {
		change := store.Change{Sequence: at.Sequence + 1, Operation: store.OperationCreateToken, Token: &store.TokenChange{ID: "x", Owners: []string{strings.Repeat("o", 300_000)}}}
		lines, at.Chain = appendChange(t, lines, at.Chain, change)
		at.Sequence++
	}
	var pieces int
	var again []byte
	g := &lineGatherer{use: func(piece linePiece) error {
		pieces++
		if len(piece.lines) > bytesAtOnce+1<<20 || len(piece.changes) != int(piece.last-piece.first+1) || piece.changes[0].Sequence != piece.first {
			t.Errorf("a piece of %d bytes, %d changes from %d to %d", len(piece.lines), len(piece.changes), piece.first, piece.last)
		}
		again = append(again, piece.lines...)
		return nil
	}}
	if _, err := io.CopyBuffer(struct{ io.Writer }{g}, struct{ io.Reader }{bytes.NewReader(lines)}, make([]byte, 77_777)); err != nil {
		t.Fatal(err)
	}
	if err := g.flush(); err != nil {
		t.Fatal(err)
	}
	if pieces < 5 || !bytes.Equal(again, lines) || g.at != at {
		t.Errorf("%d pieces with %d of %d bytes, up to %d", pieces, len(again), len(lines), g.at.Sequence)
	}
	g = &lineGatherer{use: func(linePiece) error { return errWrite }}
	if _, err := g.Write(lines); !errors.Is(err, errWrite) {
		t.Errorf("an error of use: %v", err)
	}
}
