package journal

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// longestLine bounds a line: the longest names and a token's scope fit well.
const longestLine = 4 << 20

// source reads the lines of one segment, each verified against the one before.
type source struct {
	segment  files.Segment
	store    string // of the header
	header   []byte
	position store.Position // of the last line read
	offset   int64          // behind that line; of a plain segment

	reader *bufio.Reader
	close  []io.Closer
	tailed bool // the reader goes on behind the file
}

// openSegment opens a segment of a store (any, when store is empty) and reads its
// header. fs.ErrNotExist when there is none, ErrDamaged when the header is not what
// was written.
func openSegment(directory, id string, of files.Segment) (*source, error) {
	return openSource(of.Path(directory), id, of)
}

func openSource(path, id string, of files.Segment) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening segment of journal: %w", err)
	}
	s := &source{segment: of, close: []io.Closer{file}}
	name := filepath.Base(path)
	if err := s.begin(file); err != nil {
		return nil, errors.Join(fmt.Errorf("reading segment %s of journal: %w", name, err), s.Close())
	}
	if id != "" && s.store != id {
		return nil, errors.Join(fmt.Errorf("%w: segment %s of the journal is of another store", store.ErrDamaged, name), s.Close())
	}
	return s, nil
}

func (s *source) begin(file io.Reader) error {
	if s.segment.Compressed {
		zip, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			return fmt.Errorf("%w: %w", store.ErrDamaged, err)
		}
		s.close = append(s.close, zip)
		file = zip
	}
	s.reader = newReader(file)
	line, err := s.line()
	if err != nil {
		return err
	}
	header, err := jsonl.ParseHeader(line)
	if err != nil {
		// A newer release would have said so in the store's own format.
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	if s.segment.First == 1 && header.After() != (store.Position{}) {
		return fmt.Errorf("%w: its header says that changes come before the first", store.ErrDamaged)
	}
	if header.First != s.segment.First {
		return fmt.Errorf("%w: its header says that it begins with change %d", store.ErrDamaged, header.First)
	}
	s.header, s.store = line, header.Store
	s.position = header.After()
	return nil
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }

// line returns the next line with its end. io.EOF when there is none but filler, ErrDamaged
// when it has no end.
func (s *source) line() ([]byte, error) {
	var line []byte
	for {
		part, err := s.reader.ReadSlice('\n')
		line = append(line, part...)
		s.offset += int64(len(part))
		switch {
		case err == nil:
			return line, nil
		case err == io.EOF && len(bytes.Trim(line, filler)) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return line, fmt.Errorf("%w: the last line is cut", store.ErrDamaged)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, fmt.Errorf("%w: %w", store.ErrDamaged, err)
		case len(line) > longestLine:
			return line, fmt.Errorf("%w: a line has no end", store.ErrDamaged)
		}
	}
}

// next returns the next change and its line. io.EOF at the end.
func (s *source) next() (line []byte, change store.Change, err error) {
	if line, err = s.line(); err != nil {
		return line, change, err
	}
	change, chain, err := jsonl.ParseLine(line, s.position.Chain)
	if err != nil {
		return line, change, fmt.Errorf("change %d: %w", s.position.Sequence+1, err)
	}
	if change.Sequence != s.position.Sequence+1 {
		return line, change, fmt.Errorf("%w: change %d follows change %d", store.ErrDamaged, change.Sequence, s.position.Sequence)
	}
	s.position = store.Position{Sequence: change.Sequence, Chain: chain}
	return line, change, nil
}

// follow returns the next line, which its chain proves, without reading its change. io.EOF at
// the end.
func (s *source) follow() (line []byte, err error) {
	if line, err = s.line(); err == nil {
		s.position, err = jsonl.Follow(line, s.position)
	}
	return line, err
}

// Close closes the file.
func (s *source) Close() error {
	var errs []error
	for _, closer := range s.close {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

// ErrHistories: a journal has another change at a position than was thought.
var ErrHistories = errors.New("the journal has another history")

// Read calls fn with each change after a position up to and with a number, and its
// line, verified against the one before. The line is fn's to keep. A position without
// a chain is any. ErrHistories when the journal never had the position,
// ErrNotContinued when it has those changes no more, ErrDamaged when it is not what
// was written.
func (j *Journal) Read(ctx context.Context, after store.Position, to uint64, fn func(line []byte, change store.Change, chain store.Digest) error) error {
	return j.ReadOn(ctx, &Place{Position: after}, to, fn)
}

// Place is where a reading ended.
type Place struct {
	store.Position
	offset int64 // behind it, in the segment that has it
}

// ReadOn is Read after a place, which moves on: what is before it in a plain segment is not
// read again. After an error the place is anywhere.
func (j *Journal) ReadOn(ctx context.Context, at *Place, to uint64, fn func(line []byte, change store.Change, chain store.Digest) error) error {
	if to > j.Position().Sequence {
		return fmt.Errorf("%w: the journal ends at change %d, before %d", store.ErrDamaged, j.Position().Sequence, to)
	}
	var end *store.Position // of the segment before
	for next := at.Sequence + 1; next <= to; {
		s, err := j.find(next)
		if err != nil {
			return err
		}
		if end != nil && s.position != *end {
			return errors.Join(fmt.Errorf("%w: segment %s of the journal does not follow the one before", store.ErrDamaged, s.segment.Name()), s.Close())
		}
		if end == nil {
			err = s.skip(ctx, *at)
		}
		if err == nil {
			err = s.read(ctx, next, to, fn)
		}
		end = &s.position
		next = s.position.Sequence + 1
		*at = Place{s.position, s.offset}
		if err = errors.Join(err, s.Close()); err != nil {
			return fmt.Errorf("reading segment %s of journal: %w", s.segment.Name(), err)
		}
	}
	return nil
}

// skip goes on to a place.
func (s *source) skip(ctx context.Context, to Place) error {
	if file, ok := s.close[0].(*os.File); ok && !s.segment.Compressed && !s.tailed && to.offset > 0 && s.segment.First <= to.Sequence {
		if _, err := file.Seek(to.offset, io.SeekStart); err != nil {
			return fmt.Errorf("going on in a segment: %w", err)
		}
		s.reader.Reset(file)
		s.offset, s.position = to.offset, to.Position
	}
	for s.position.Sequence < to.Sequence {
		if _, err := s.follow(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if to.Chain != (store.Digest{}) && s.position != to.Position {
		return fmt.Errorf("%w: change %d is another one", ErrHistories, to.Sequence)
	}
	return nil
}

// read goes on to the end of the segment or to a change.
func (s *source) read(ctx context.Context, from, to uint64, fn func([]byte, store.Change, store.Digest) error) error {
	sealed := s.segment.Last > 0 && s.segment.Last <= to
	if sealed {
		to = s.segment.Last
	}
	for s.position.Sequence < to {
		line, change, err := s.next()
		if err == io.EOF {
			err = fmt.Errorf("%w: it ends after change %d", store.ErrDamaged, s.position.Sequence)
		}
		if err != nil {
			return err
		}
		if change.Sequence < from {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(line, change, s.position.Chain); err != nil {
			return err
		}
	}
	if !sealed {
		return nil
	}
	// The checksum of a compressed segment is behind its last line.
	if _, err := s.line(); err != io.EOF {
		return fmt.Errorf("%w: it does not end after change %d", store.ErrDamaged, to)
	}
	return nil
}

// find opens the segment that has a change. It may have been compressed since its
// name was read.
func (j *Journal) find(sequence uint64) (*source, error) {
	for attempt := 0; ; attempt++ {
		segments, err := files.Segments(j.path)
		if err != nil {
			return nil, err
		}
		found := files.Segment{}
		for _, s := range segments {
			if s.First <= sequence {
				found = s
			}
		}
		if found.First == 0 || found.Last > 0 && found.Last < sequence {
			return nil, j.lacks(sequence)
		}
		s, err := j.openSegment(found)
		if errors.Is(err, fs.ErrNotExist) && attempt < 3 {
			continue
		}
		return s, err
	}
}

// HoleEnd returns the last of the changes after a number that no segment has.
func (j *Journal) HoleEnd(after uint64) (uint64, error) { return files.HoleEnd(j.path, after) }

// lacks tells a change that was removed, which a checkpoint stands for, from one that is
// missing.
func (j *Journal) lacks(sequence uint64) error {
	checkpoints, err := j.Checkpoints()
	if err == nil && len(checkpoints) > 0 && sequence <= checkpoints[0].Sequence {
		return fmt.Errorf("%w: the journal has change %d no more, only what there was at change %d", store.ErrNotContinued, sequence, checkpoints[0].Sequence)
	}
	return errors.Join(fmt.Errorf("%w: the journal in %s lacks change %d", store.ErrDamaged, j.path, sequence), err)
}
