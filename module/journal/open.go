package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Open opens the journal in a directory and reads its last segment. fs.ErrNotExist
// when there is none. ErrDamaged when lines are missing or are not what was
// written, except that the remains of an append which a crash cut are passed over,
// until Begin removes them.
func Open(path string, options Options) (*Journal, error) {
	segments, err := segmentsIn(path)
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		checkpoints, err := checkpointsIn(path)
		if err == nil && len(checkpoints) > 0 {
			err = fmt.Errorf("%w: the journal in %s lacks the changes after %d", store.ErrDamaged, path, checkpoints[0].Sequence)
		}
		return nil, cmp.Or(err, fmt.Errorf("opening journal: %w in %s", fs.ErrNotExist, path))
	}
	last := segments[len(segments)-1]
	if last.compressed {
		// The next one is made before it is compressed.
		return nil, fmt.Errorf("%w: the journal in %s lacks the changes after %d", store.ErrDamaged, path, last.last)
	}
	info, err := os.Stat(last.path(path))
	if err != nil {
		return nil, fmt.Errorf("opening journal: %w", err)
	}
	s, err := openSegment(path, "", last)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	last.header, last.size = s.offset, info.Size()
	j := &Journal{path: path, store: s.store, options: options, active: last}
	if j.size, err = s.toEnd(); err != nil {
		return nil, fmt.Errorf("reading segment %s of journal: %w", last.name(), err)
	}
	j.position = s.position
	return j, nil
}

// toEnd reads to the last good line and returns where it ends.
func (s *source) toEnd() (end int64, err error) {
	for {
		end = s.offset
		line, _, err := s.next()
		if err == io.EOF {
			return end, nil
		}
		if errors.Is(err, store.ErrDamaged) {
			return end, s.checkRemains(line, err)
		}
		if err != nil {
			return end, err
		}
	}
}

// checkRemains tells what a crash left of the last append, which nobody was told
// of, from damage to what was durable: a later line says that the bad one was.
func (s *source) checkRemains(line []byte, damage error) error {
	bad := s.position.Sequence + 1
	for {
		if change, _, err := LineChain(line); err == nil && change.Synced >= bad {
			return damage
		}
		var err error
		if line, err = s.line(); err != nil {
			return nil
		}
	}
}
