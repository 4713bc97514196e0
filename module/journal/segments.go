package journal

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// segment is one that is written to.
type segment struct {
	files.Segment
	header int64 // bytes of the header line
	size   int64 // of the file, with its filler
}

// makeSegment makes the segment after a position with lines that are good already:
// complete under its own name, or not there. Once it has its name, an error leaves
// open whether that is durable: ErrUnclear.
func (j *Journal) makeSegment(after store.Position, lines []byte) (disk.File, segment, error) {
	s := segment{Segment: files.Segment{First: after.Sequence + 1}}
	text := jsonl.AppendHeader(nil, jsonl.NewHeader(j.store, after))
	s.header = int64(len(text))
	text = append(text, lines...)
	s.size = int64(len(text))
	temporary := disk.Temporary(s.Path(j.path))
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
	if err := j.placeSegment(file, temporary, s.Path(j.path), text); err != nil {
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
		if _, ok := files.ParseSegment(name); err == nil && unfinished && (ok || name == files.CheckpointPrefix) {
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
	segments, err := files.Segments(j.path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(j.path)
	if err != nil {
		return fmt.Errorf("reading journal: %w", err)
	}
	for _, entry := range entries {
		s, ok := files.ParseSegment(entry.Name())
		if !ok || slices.ContainsFunc(segments, func(kept files.Segment) bool { return kept.Name() == entry.Name() }) {
			continue
		}
		if err := j.options.FS.Remove(filepath.Join(j.path, entry.Name())); err != nil {
			return fmt.Errorf("removing a plain segment of the journal, first change %d: %w", s.First, err)
		}
	}
	for _, s := range segments {
		if !s.Compressed && s.First != j.active.First {
			j.compress(s)
		}
	}
	return nil
}

// compress replaces a sealed segment by a compressed one, beside other work. One
// that fails stays as it is, for the next start.
func (j *Journal) compress(sealed files.Segment) {
	work := func() {
		if err := j.replace(sealed); err != nil {
			j.options.Log.Error("compressing a sealed segment of the journal",
				slog.String("name", sealed.Name()), slog.Any("error", err))
		}
	}
	if j.options.Inline {
		work()
		return
	}
	j.compressing.Go(work)
}

func (j *Journal) replace(sealed files.Segment) error {
	small := sealed
	small.Compressed = true
	temporary := disk.Temporary(small.Path(j.path))
	if err := j.writeCompressed(sealed, temporary); err != nil {
		return fmt.Errorf("writing segment: %w", err)
	}
	j.naming.Lock()
	defer j.naming.Unlock()
	if err := disk.Place(j.options.FS, temporary, small.Path(j.path)); err != nil {
		return fmt.Errorf("naming segment: %w", err)
	}
	if err := j.options.FS.Remove(sealed.Path(j.path)); err != nil {
		return fmt.Errorf("removing the plain segment: %w", err)
	}
	return nil
}

// writeCompressed writes a compressed copy, durable. Each line is verified on the
// way: what is damaged must not be sealed as if it were good.
func (j *Journal) writeCompressed(sealed files.Segment, to string) error {
	source, err := openSegment(j.path, j.store, sealed)
	if err != nil {
		return err
	}
	defer source.Close()
	return disk.WriteDurably(j.options.FS, to, func(file io.Writer) error {
		return compressed(file, func(zip io.Writer) error { return source.copyTo(zip, sealed.Last) })
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

// Check reports ErrUnavailable when the active segment was removed or replaced: what is
// appended then goes into a file that nobody finds again. It must not run beside Append.
func (j *Journal) Check() error {
	if err := disk.StillNamed(j.file, j.active.Path(j.path)); err != nil {
		return fmt.Errorf("%w: changes of the last second may be in no other file", err)
	}
	return nil
}
