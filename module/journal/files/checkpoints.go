package files

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CheckpointPrefix is what the names of checkpoints begin with.
const CheckpointPrefix = "checkpoint-"

// Checkpoint is the file of one, as its name tells.
type Checkpoint struct {
	// Sequence of the last change that it stands for.
	Sequence uint64
	// Records that it has.
	Records uint64
}

// Name is that of the file.
func (c Checkpoint) Name() string {
	return fmt.Sprintf("%s%0*d-%0*d%s", CheckpointPrefix, sequenceWidth, c.Sequence, sequenceWidth, c.Records, compressedSuffix)
}

// Path is that of the file in a directory.
func (c Checkpoint) Path(directory string) string { return filepath.Join(directory, c.Name()) }

// ParseCheckpoint reads the name of a file.
func ParseCheckpoint(name string) (c Checkpoint, ok bool) {
	numbers, found := strings.CutPrefix(name, CheckpointPrefix)
	if !found {
		return c, false
	}
	// Two numbers as those of a compressed segment, but in no order.
	first, rest, _ := strings.Cut(numbers, "-")
	last, found := strings.CutSuffix(rest, compressedSuffix)
	if c.Sequence, ok = parseSequence(first); !ok || !found {
		return c, false
	}
	c.Records, ok = parseSequence(last)
	return c, ok
}

// Checkpoints returns the checkpoints of a directory, the newest first.
func Checkpoints(directory string) ([]Checkpoint, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("reading journal: %w", err)
	}
	var found []Checkpoint
	for _, entry := range entries {
		if c, ok := ParseCheckpoint(entry.Name()); ok {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b Checkpoint) int { return cmp.Compare(b.Sequence, a.Sequence) })
	return found, nil
}
