package journal

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// The names of segments: one that is written to, or not compressed yet, has its
// first change in its name; a compressed one its last too.
const (
	plainSuffix      = ".jsonl"
	compressedSuffix = ".jsonl.gz"
	sequenceWidth    = 16
)

// segment is one file of a journal.
type segment struct {
	first, last uint64 // last is unknown (0) of a plain segment
	compressed  bool
	header      int64 // bytes of the header line; of the active one
	size        int64 // of the file, with its filler; of the active one
}

func (s segment) name() string {
	if s.compressed {
		return fmt.Sprintf("%0*d-%0*d%s", sequenceWidth, s.first, sequenceWidth, s.last, compressedSuffix)
	}
	return fmt.Sprintf("%0*d%s", sequenceWidth, s.first, plainSuffix)
}

func (s segment) path(directory string) string { return filepath.Join(directory, s.name()) }

// parseSegment reads the name of a file.
func parseSegment(name string) (s segment, ok bool) {
	if numbers, found := strings.CutSuffix(name, compressedSuffix); found {
		first, last, _ := strings.Cut(numbers, "-")
		s.compressed = true
		s.last, ok = parseSequence(last)
		if !ok {
			return s, false
		}
		s.first, ok = parseSequence(first)
		return s, ok && s.first <= s.last
	}
	first, found := strings.CutSuffix(name, plainSuffix)
	if !found {
		return s, false
	}
	s.first, ok = parseSequence(first)
	return s, ok
}

func parseSequence(text string) (uint64, bool) {
	if len(text) != sequenceWidth {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n > 0
}

// segmentsIn returns the segments of a directory in order. Of one that is there both
// plain and compressed it is the plain one: the name of the other may not be durable.
// Changes may be missing between two: who reads them finds out.
func segmentsIn(directory string) ([]segment, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("reading journal: %w", err)
	}
	var segments []segment
	for _, entry := range entries {
		if s, ok := parseSegment(entry.Name()); ok {
			segments = append(segments, s)
		}
	}
	slices.SortFunc(segments, func(a, b segment) int {
		if a.first == b.first && a.compressed != b.compressed {
			return map[bool]int{true: 1, false: -1}[a.compressed]
		}
		return cmp.Compare(a.first, b.first)
	})
	segments = slices.CompactFunc(segments, func(a, b segment) bool { return a.first == b.first })
	for i := range segments {
		if s := &segments[i]; !s.compressed && i+1 < len(segments) {
			s.last = segments[i+1].first - 1
		}
	}
	return segments, nil
}

// makeSegment makes the segment after a position with lines that are good already:
// complete under its own name, or not there. Once it has its name, an error leaves
// open whether that is durable: ErrUnclear.
func (j *Journal) makeSegment(after store.Position, lines []byte) (disk.File, segment, error) {
	s := segment{first: after.Sequence + 1}
	text := jsonl.AppendHeader(nil, jsonl.NewHeader(j.store, after))
	s.header = int64(len(text))
	text = append(text, lines...)
	s.size = int64(len(text))
	temporary := disk.Temporary(s.path(j.path))
	if err := j.options.FS.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, s, fmt.Errorf("removing an unfinished segment: %w", err)
	}
	file, err := j.options.FS.Create(temporary)
	if err == nil {
		err = file.Close()
	}
	if err == nil {
		file, err = j.options.FS.Edit(temporary)
	}
	if err != nil {
		return nil, s, fmt.Errorf("creating segment: %w", err)
	}
	if err := j.placeSegment(file, temporary, s.path(j.path), text); err != nil {
		return nil, s, errors.Join(err, file.Close())
	}
	return file, s, nil
}

// placeSegment is disk.Place with the two errors told apart: nothing is there after the first,
// and the journal is broken after the second.
func (j *Journal) placeSegment(file disk.File, temporary, name string, text []byte) error {
	if err := file.Allocate(0, j.segmentSize()); err != nil {
		return fmt.Errorf("reserving disk space: %w", err)
	}
	if _, err := file.WriteAt(text, 0); err != nil {
		return fmt.Errorf("writing segment: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("syncing segment: %w", err)
	}
	j.naming.Lock() // no sync for another name runs, whose failure this one's would not tell
	defer j.naming.Unlock()
	if err := j.options.FS.Rename(temporary, name); err != nil {
		return fmt.Errorf("naming segment: %w", err)
	}
	if err := j.options.FS.SyncDirectory(j.path); err != nil {
		j.broken = true
		return fmt.Errorf("%w: syncing directory of journal: %w", ErrUnclear, err)
	}
	return nil
}

// RemoveUnfinished removes what nobody finished of a journal that is there: segments,
// checkpoints, and a journal to replace it. Who opens the journal may need the room.
func RemoveUnfinished(path string, fsys disk.FS) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		name, unfinished := disk.IsTemporary(entry.Name())
		if _, ok := parseSegment(name); err == nil && unfinished && (ok || name == checkpointPrefix) {
			err = fsys.Remove(filepath.Join(path, entry.Name()))
		}
	}
	if err == nil {
		err = disk.RemoveAll(fsys, disk.Temporary(path))
	}
	if err != nil {
		return fmt.Errorf("removing what is unfinished of the journal: %w", err)
	}
	return nil
}

// finishSealed does what an earlier process left undone: it compresses what that had sealed,
// and removes the plain segments that have a compressed one.
func (j *Journal) finishSealed() error {
	segments, err := segmentsIn(j.path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(j.path)
	if err != nil {
		return fmt.Errorf("reading journal: %w", err)
	}
	for _, entry := range entries {
		s, ok := parseSegment(entry.Name())
		if !ok || slices.ContainsFunc(segments, func(kept segment) bool { return kept.name() == entry.Name() }) {
			continue
		}
		if err := j.options.FS.Remove(filepath.Join(j.path, entry.Name())); err != nil {
			return fmt.Errorf("removing a plain segment of the journal, first change %d: %w", s.first, err)
		}
	}
	for _, s := range segments {
		if !s.compressed && s.first != j.active.first {
			j.compress(s)
		}
	}
	return nil
}

// compress replaces a sealed segment by a compressed one, beside other work. One
// that fails stays as it is, for the next start.
func (j *Journal) compress(sealed segment) {
	work := func() {
		if err := j.replace(sealed); err != nil {
			j.options.Log.Error("compressing a sealed segment of the journal",
				slog.String("name", sealed.name()), slog.Any("error", err))
		}
	}
	if j.options.Inline {
		work()
		return
	}
	j.compressing.Go(work)
}

func (j *Journal) replace(sealed segment) error {
	small := sealed
	small.compressed = true
	temporary := disk.Temporary(small.path(j.path))
	if err := j.writeCompressed(sealed, temporary); err != nil {
		return fmt.Errorf("writing segment: %w", err)
	}
	j.naming.Lock()
	defer j.naming.Unlock()
	if err := disk.Place(j.options.FS, temporary, small.path(j.path)); err != nil {
		return fmt.Errorf("naming segment: %w", err)
	}
	if err := j.options.FS.Remove(sealed.path(j.path)); err != nil {
		return fmt.Errorf("removing the plain segment: %w", err)
	}
	return nil
}

// writeCompressed writes a compressed copy, durable. Each line is verified on the
// way: what is damaged must not be sealed as if it were good.
func (j *Journal) writeCompressed(sealed segment, to string) error {
	source, err := openSegment(j.path, j.store, sealed)
	if err != nil {
		return err
	}
	defer source.Close()
	return disk.WriteDurably(j.options.FS, to, func(file io.Writer) error {
		return compressed(file, func(zip io.Writer) error { return source.copyTo(zip, sealed.last) })
	})
}

// compressed has what is written end up in a file, compressed.
func compressed(file io.Writer, write func(io.Writer) error) error {
	buffered := bufio.NewWriterSize(file, 256<<10)
	zip, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return err
	}
	return errors.Join(write(zip), zip.Close(), buffered.Flush())
}

// copyTo copies the header and every line up to a change.
func (s *source) copyTo(w io.Writer, last uint64) error {
	for line := s.header; ; {
		if _, err := w.Write(line); err != nil || s.position.Sequence >= last {
			return err
		}
		var err error
		if line, err = s.follow(); err != nil {
			return err
		}
	}
}
