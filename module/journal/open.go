package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Open opens the journal in a directory and reads its last segment. fs.ErrNotExist
// when there is none. ErrDamaged when lines are missing, are not what was written or
// cannot be read, except that the remains of an append which a crash cut are passed over,
// until Begin removes them.
func Open(path string, options Options) (*Journal, error) {
	segments, err := files.Segments(path)
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		checkpoints, err := files.Checkpoints(path)
		if err == nil && len(checkpoints) > 0 {
			err = fmt.Errorf("%w: the journal in %s lacks the changes after %d", store.ErrDamaged, path, checkpoints[0].Sequence)
		}
		return nil, cmp.Or(err, fmt.Errorf("opening journal: %w in %s", fs.ErrNotExist, path))
	}
	last := segments[len(segments)-1]
	if last.Compressed {
		// The next one is made before it is compressed.
		return nil, fmt.Errorf("%w: the journal in %s lacks the changes after %d", store.ErrDamaged, path, last.Last)
	}
	info, err := os.Stat(last.Path(path))
	if err != nil {
		return nil, fmt.Errorf("opening journal: %w", err)
	}
	s, err := openSegment(path, "", last)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	j := &Journal{path: path, store: s.store, options: options, active: segment{last, s.offset, info.Size()}}
	if j.size, err = s.toEnd(); err != nil {
		return nil, fmt.Errorf("reading segment %s of journal: %w", last.Name(), err)
	}
	j.position = s.position
	if err := j.adopt(); err != nil {
		return nil, err
	}
	return j, nil
}

// Reopen finds out what the journal has after an append with an unknown outcome, and
// makes that durable: Position then tells whether the changes were appended. It is for
// the goroutine of Append. After an error the journal takes nothing, as before. Its
// errors are those of Open and of Renew, and ErrDamaged when the journal is of another
// store.
func (j *Journal) Reopen() error {
	found, err := Open(j.path, j.options)
	if err != nil {
		return err
	}
	if found.store != j.store {
		return fmt.Errorf("%w: the journal in %s is of another store", store.ErrDamaged, j.path)
	}
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			j.options.Log.Warn("closing a journal that failed", slog.Any("error", err)) // it is written anew
		}
	}
	j.mu.Lock()
	j.file, j.active, j.size, j.position, j.tail = nil, found.active, found.size, found.position, found.tail
	j.mu.Unlock()
	if err := j.Renew(); err != nil {
		return err
	}
	j.broken = false
	return nil
}

// toEnd reads to the last good line and returns where it ends.
func (s *source) toEnd() (end int64, err error) {
	for {
		end = s.offset
		line, _, err := s.next()
		if err == io.EOF {
			return end, nil
		}
		if errors.Is(err, store.ErrDamaged) && !disk.IsRefusal(err) {
			return end, s.checkRemains(line, err)
		}
		if err != nil {
			return end, err
		}
	}
}

// checkRemains tells what a crash left of the last append, which nobody was told
// of, from damage to what was durable. What was never written ends before its line does,
// or is still filler or zeros: any other line that is whole and wrong was changed after it
// was written. Of other lines, a later one says that the bad one was durable.
func (s *source) checkRemains(line []byte, damage error) error {
	if bytes.HasSuffix(line, []byte(jsonl.LineEnd)) && !isUnwritten(line, s.offset) {
		return damage
	}
	bad := s.position.Sequence + 1
	for {
		if change, _, err := jsonl.LineChain(line); err == nil && change.Synced >= bad {
			return damage
		}
		var err error
		if line, err = s.line(); disk.IsRefusal(err) {
			return err // what follows may be good
		}
		if err != nil {
			return nil
		}
	}
}

// sector is the least that a disk writes whole or not at all.
const sector = 512

// isUnwritten tells whether a sector was not written that has a part of a line, by where
// the line ends. One byte that a flipped bit has made filler does not tell so.
func isUnwritten(line []byte, end int64) bool {
	for at := end - int64(len(line)); at < end; {
		n := min(sector-at%sector, end-at)
		if len(bytes.Trim(line[:n], filler+"\x00")) == 0 {
			return true
		}
		line, at = line[n:], at+n
	}
	return false
}
