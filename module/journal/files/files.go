// Package files knows the files of a journal by their names: which changes each has, and
// which changes none has.
package files

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// The names of segments: one that is written to, or not compressed yet, has its
// first change in its name; a compressed one its last too.
const (
	plainSuffix      = ".jsonl"
	compressedSuffix = ".jsonl.gz"
	sequenceWidth    = 16
)

// Segment is one file with changes.
type Segment struct {
	First, Last uint64 // Last is unknown (0) of a plain segment
	Compressed  bool
}

// Name is that of the file.
func (s Segment) Name() string {
	if s.Compressed {
		return fmt.Sprintf("%0*d-%0*d%s", sequenceWidth, s.First, sequenceWidth, s.Last, compressedSuffix)
	}
	return fmt.Sprintf("%0*d%s", sequenceWidth, s.First, plainSuffix)
}

// Path is that of the file in a directory.
func (s Segment) Path(directory string) string { return filepath.Join(directory, s.Name()) }

// Remove removes a segment from a directory, and one of both names that it has while it is
// compressed.
func (s Segment) Remove(fsys disk.FS, directory string) error {
	compressed := s
	compressed.Compressed = true
	plain := s
	plain.Compressed = false
	for _, name := range []string{compressed.Path(directory), plain.Path(directory)} {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ParseSegment reads the name of a file.
func ParseSegment(name string) (s Segment, ok bool) {
	if numbers, found := strings.CutSuffix(name, compressedSuffix); found {
		first, last, _ := strings.Cut(numbers, "-")
		s.Compressed = true
		s.Last, ok = parseSequence(last)
		if !ok {
			return s, false
		}
		s.First, ok = parseSequence(first)
		return s, ok && s.First <= s.Last
	}
	first, found := strings.CutSuffix(name, plainSuffix)
	if !found {
		return s, false
	}
	s.First, ok = parseSequence(first)
	return s, ok
}

func parseSequence(text string) (uint64, bool) {
	if len(text) != sequenceWidth {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n > 0
}

// Segments returns the segments of a directory in order. Of one that is there both
// plain and compressed it is the plain one: the name of the other may not be durable.
// Changes may be missing between two: who reads them finds out.
func Segments(directory string) ([]Segment, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("reading journal: %w", err)
	}
	var segments []Segment
	for _, entry := range entries {
		if s, ok := ParseSegment(entry.Name()); ok {
			segments = append(segments, s)
		}
	}
	slices.SortFunc(segments, func(a, b Segment) int {
		if a.First == b.First && a.Compressed != b.Compressed {
			return map[bool]int{true: 1, false: -1}[a.Compressed]
		}
		return cmp.Compare(a.First, b.First)
	})
	segments = slices.CompactFunc(segments, func(a, b Segment) bool { return a.First == b.First })
	for i := range segments {
		if s := &segments[i]; !s.Compressed && i+1 < len(segments) {
			s.Last = segments[i+1].First - 1
		}
	}
	return segments, nil
}

// HoleEnd returns the last of the changes after a number that no segment of a directory has.
func HoleEnd(directory string, after uint64) (uint64, error) {
	segments, err := Segments(directory)
	if err != nil {
		return 0, err
	}
	for _, s := range segments {
		if s.First > after+1 {
			return s.First - 1, nil
		}
	}
	return math.MaxUint64, nil
}

// CheckAfter reports a hole after a change. ErrDamaged.
func CheckAfter(directory string, sequence uint64) error {
	next := sequence + 1
	segments, err := Segments(directory)
	if err != nil {
		return err
	}
	for i, s := range segments {
		if s.Last > 0 && s.Last < next {
			continue
		}
		if s.First > next {
			return fmt.Errorf("%w: the journal in %s lacks the changes %d to %d", store.ErrDamaged, directory, next, s.First-1)
		}
		if i+1 < len(segments) {
			next = s.Last + 1
		}
	}
	return nil
}

// Names returns the names of all files in a directory: checkpoints, then segments in
// their order.
func Names(directory string) (names []string, err error) {
	checkpoints, err := Checkpoints(directory)
	if err != nil {
		return nil, err
	}
	for _, c := range checkpoints {
		names = append(names, c.Name())
	}
	segments, err := Segments(directory)
	for _, s := range segments {
		names = append(names, s.Name())
	}
	return names, err
}
