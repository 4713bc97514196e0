package jsonl

import (
	"bytes"
	"fmt"

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
