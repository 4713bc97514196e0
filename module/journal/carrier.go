package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Carrier has bytes that lines name and that are not durable yet. It makes them durable
// together with the lines, in one sync, so that the journal need not be synced for them. The
// journal is written all the same, and has the lines when a process is killed. After a power
// cut the carrier gives them back. A publish:
//
//  1. The carrier has the bytes, staged: written, and not synced.
//  2. Carry writes the lines of all changes that are committed together beside them, and syncs
//     both.
//  3. The lines are written to the active segment, which is not synced.
//
// When nothing is staged, or the carrier has no place for the lines, the segment is synced: it
// then has all lines that were carried before.
type Carrier interface {
	// Carry makes durable what waits for that. Carried tells that the lines are too, of which
	// the first has a number: then they stay until the journal is synced up to the last of
	// them, which a later call tells. Named are the locators in the lines. ErrUnavailable when
	// bytes that are named were lost: nothing was written. After any other error the lines and
	// what they name may be durable or not: Carried settles that. It is for the goroutine of
	// Append.
	Carry(first, synced uint64, lines []byte, named []store.Locator) (carried bool, err error)

	// Carried returns the lines that are kept of a store, by its ID, and makes the bytes durable
	// that they name. Some of the lines up to a number may be left out. Lines whose bytes are
	// lost were never acknowledged: they are not returned any more, whatever a power cut brings
	// back. Once it was called, bytes wait for Carry, if the directory of the journal is on the
	// same file system: else a disk that hangs would hold up changes that do not need it.
	Carried(id string, after uint64, journal string) (lines []byte, err error)

	// Forget takes out, durably, the lines that cannot be read: a journal is made without them.
	Forget() error
}

// carry makes lines durable in the carrier, if it takes them.
func (j *Journal) carry(lines []byte, named []store.Locator) (carried bool, err error) {
	if j.options.Carrier == nil {
		return false, nil
	}
	carried, err = j.options.Carrier.Carry(j.position.Sequence+1, j.synced, lines, named)
	if errors.Is(err, store.ErrUnavailable) {
		return false, err
	}
	if err != nil {
		j.broken = true
		return false, fmt.Errorf("%w: %w", ErrUnclear, err)
	}
	return carried, nil
}

func (j *Journal) carried() (lines []byte, err error) {
	if j.options.Carrier == nil {
		return nil, nil
	}
	if lines, err = j.options.Carrier.Carried(j.store, j.position.Sequence, j.path); err != nil {
		return nil, fmt.Errorf("asking for lines that the journal may lack: %w", err)
	}
	return lines, nil
}

// adopt adds the lines of the carrier that go on where the journal ends: a power cut has cut
// them off. It adds none when the carrier has lines of a time at which the journal had more
// changes durable than it has now: somebody has put an older journal back, and may want that.
func (j *Journal) adopt() error {
	lines, err := j.carried()
	if err != nil {
		return err
	}
	from, to, tail, synced := j.position.Sequence, j.position, []byte(nil), uint64(0)
	for line := range bytes.Lines(lines) {
		if change, _, err := jsonl.LineChain(line); err == nil {
			synced = max(synced, change.Synced)
		}
		// The journal has most of them. Others were never acknowledged, or are of a time before a
		// restore.
		if position, err := jsonl.Follow(line, to); err == nil {
			to, tail = position, append(tail, line...)
		}
	}
	if len(tail) == 0 {
		return nil
	}
	if synced > from {
		j.options.Log.Warn("small files have lines that go on after the journal; they are left out, because the journal was longer once",
			slog.Uint64("changes", from), slog.Uint64("once", synced))
		return nil
	}
	j.position, j.tail = to, tail
	j.options.Log.Warn("a power cut has cut off the end of the journal, which small files have too; it is written again",
		slog.Uint64("changes", to.Sequence-from))
	return nil
}

// openSegment opens a segment of the journal. The last one ends with the lines that are not in
// it yet.
func (j *Journal) openSegment(of files.Segment) (*source, error) {
	j.mu.Lock()
	active, tail := j.active.First, j.tail // a segment that is renewed from here on has the same lines
	var size int64
	if len(tail) > 0 { // nothing is written
		size = j.size
	}
	j.mu.Unlock()
	s, err := openSegment(j.path, j.store, of)
	if err != nil {
		return nil, err
	}
	if s.tailed = len(tail) > 0 && of.First == active; s.tailed {
		s.reader = newReader(io.MultiReader(io.LimitReader(s.reader, size-s.offset), bytes.NewReader(tail)))
	}
	return s, nil
}
