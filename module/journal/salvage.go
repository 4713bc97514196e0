package journal

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Salvage calls fn with the changes that follow a position of a store, and their lines,
// as far as they are whole, in a journal of which everything before may be damaged or
// missing, and in lines that a carrier has. It returns the last position that it got to, and
// what kept it from more, if there may be more. A journal that is not there has nothing.
func Salvage(path, id string, after store.Position, carried []byte, fn func(line []byte, change store.Change, chain store.Digest) error) (end store.Position, left, err error) {
	segments, err := files.Segments(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return after, nil, err
	}
	s := salvage{store: id, end: after, fn: fn}
	for _, of := range segments {
		if of.Compressed && of.Last <= after.Sequence {
			continue
		}
		if err := s.segment(path, of); err != nil {
			return s.end, nil, err
		}
	}
	end = s.end
	if err := s.carried(carried); err != nil {
		return s.end, nil, err
	}
	if s.end != end { // what follows those lines may be in the journal
		return Salvage(path, id, s.end, carried, fn)
	}
	return s.end, s.left(), nil
}

// salvage is how far a journal was read.
type salvage struct {
	store string
	end   store.Position
	fn    func([]byte, store.Change, store.Digest) error

	unread error  // segments, or the rest of one
	bad    bool   // a line that may come after the end
	beyond uint64 // the highest number of a whole line
}

func (s *salvage) left() error {
	left := s.unread
	if s.bad {
		left = errors.Join(left, errors.New("a line is not what was written"))
	}
	if s.beyond > s.end.Sequence {
		left = errors.Join(left, fmt.Errorf("the changes up to %d do not follow", s.beyond))
	}
	return left
}

// segment goes on in one segment.
func (s *salvage) segment(path string, of files.Segment) error {
	file, err := os.Open(of.Path(path))
	if err != nil {
		s.unread = errors.Join(s.unread, err)
		return nil
	}
	defer file.Close()
	lines, err := s.open(file, of)
	for err == nil {
		var line []byte
		if line, err = lines.line(); err != nil {
			break
		}
		if err := s.take(line); err != nil {
			return err
		}
	}
	if err != io.EOF {
		s.unread = errors.Join(s.unread, fmt.Errorf("segment %s: %w", of.Name(), err))
	}
	return nil
}

// open reads the header, which may be damaged: that changes follow a position proves
// whose they are. At the start of a journal only the header tells.
func (s *salvage) open(file io.Reader, of files.Segment) (*source, error) {
	if of.Compressed {
		zip, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			return nil, err
		}
		file = zip
	}
	lines := &source{segment: of, reader: newReader(file)}
	line, err := lines.line()
	if err != nil || s.end.Sequence > 0 {
		return lines, err
	}
	header, err := jsonl.ParseHeader(line)
	if err == nil && header.Store != s.store {
		err = errors.New("it is of another store")
	}
	return lines, err
}

// carried goes on in the lines of a carrier. It has those before too, and others that were never
// acknowledged.
func (s *salvage) carried(lines []byte) error {
	for line := range bytes.Lines(lines) {
		if _, err := jsonl.Follow(line, s.end); err != nil {
			continue
		}
		if err := s.take(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *salvage) take(line []byte) error {
	if change, chain, err := jsonl.ParseLine(line, s.end.Chain); err == nil && change.Sequence == s.end.Sequence+1 {
		if err := s.fn(line, change, chain); err != nil {
			return err
		}
		s.end, s.bad = store.Position{Sequence: change.Sequence, Chain: chain}, false
		return nil
	}
	change, _, err := jsonl.LineChain(line)
	if err != nil {
		s.bad = true
		return nil
	}
	s.beyond = max(s.beyond, change.Sequence)
	s.bad = s.bad && change.Sequence > s.end.Sequence
	return nil
}
