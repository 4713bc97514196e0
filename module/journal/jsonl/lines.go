package jsonl

import (
	"bytes"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// ReadLines reads whole lines of a journal that follow a position, calls use for
// each, and returns the position after them: after the last line of a checkpoint that is
// the one that it stands for. ErrDamaged, ErrFormat.
func ReadLines(lines []byte, after store.Position, use func(store.Change) error) (store.Position, error) {
	for line := range bytes.Lines(lines) {
		next := after.Sequence + 1
		change, chain, err := ParseLine(line, after.Chain)
		if err == nil && change.Sequence != next {
			err = fmt.Errorf("%w: its number is %d", store.ErrDamaged, change.Sequence)
		}
		if err == nil {
			after, err = change.Position(chain)
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

// WriteCheckpoint writes the lines of a checkpoint, its first and its last one too. Tell calls
// its argument for each record of it; an error of it ends the checkpoint. Records is how many
// there were.
func WriteCheckpoint(w io.Writer, head store.CheckpointHead, tell func(func(store.Change) error) error) (records uint64, err error) {
	var at store.Position
	var line []byte
	add := func(change store.Change) (err error) {
		at.Sequence++
		change.Sequence = at.Sequence
		if line, at.Chain, err = AppendLine(line[:0], at.Chain, change); err != nil {
			return fmt.Errorf("encoding record: %w", err)
		}
		_, err = w.Write(line)
		return err
	}
	if err := add(store.Change{Operation: store.OperationCheckpoint, Checkpoint: &head}); err != nil {
		return 0, err
	}
	if err := tell(add); err != nil {
		return 0, err
	}
	records = at.Sequence - 1
	return records, add(store.Change{Operation: store.OperationEnd, Checkpoint: &head})
}
