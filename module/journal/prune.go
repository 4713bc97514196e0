package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Keep says which segments stay although a checkpoint stands for their changes, besides
// those that the older of the two newest checkpoints needs. The zero value is none.
type Keep struct {
	// Segments is how many stay.
	Segments int
	// Age is how long they stay after they were sealed.
	Age time.Duration
	// From is a change that stays, with all after it. Zero is none.
	From uint64
}

// checkpointsKept: the newest, and a spare one with the segments that follow it.
const checkpointsKept = 2

// Prune removes the checkpoints and the segments that nothing needs any more, the oldest
// first. It may run concurrently with Append.
func (j *Journal) Prune(keep Keep) error {
	checkpoints, err := j.Checkpoints()
	if err != nil || len(checkpoints) < checkpointsKept {
		return err
	}
	for i := len(checkpoints) - 1; i >= checkpointsKept; i-- {
		if err := j.options.FS.Remove(checkpoints[i].path(j.path)); err != nil {
			return fmt.Errorf("removing an old checkpoint: %w", err)
		}
	}
	segments, err := segmentsIn(j.path)
	if err != nil {
		return err
	}
	spare := checkpoints[checkpointsKept-1]
	old := 0
	for old < len(segments) && segments[old].last > 0 && segments[old].last <= spare.Sequence && (keep.From == 0 || segments[old].last < keep.From) {
		old++
	}
	for _, s := range segments[:max(old-keep.Segments, 0)] {
		if young, err := j.isYoung(s, keep.Age); err != nil || young {
			return err
		}
		if err := j.removeSegment(s); err != nil {
			return fmt.Errorf("removing segment %s: %w", s.name(), err)
		}
	}
	return nil
}

func (j *Journal) isYoung(s segment, age time.Duration) (bool, error) {
	if age <= 0 {
		return false, nil
	}
	info, err := os.Stat(s.path(j.path))
	if err != nil {
		return false, fmt.Errorf("asking for the age of a segment: %w", err)
	}
	return time.Since(info.ModTime()) < age, nil
}

// removeSegment removes a segment, and one of both names that it has while it is
// compressed.
func (j *Journal) removeSegment(s segment) error {
	compressed := s
	compressed.compressed = true
	plain := s
	plain.compressed = false
	for _, name := range []string{compressed.path(j.path), plain.path(j.path)} {
		if err := j.options.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// PutAside moves a damaged file out of the journal, into a directory.
func (j *Journal) PutAside(name, directory string) error {
	if err := j.options.FS.Rename(filepath.Join(j.path, name), filepath.Join(directory, name)); err != nil {
		return fmt.Errorf("putting %s of the journal aside: %w", name, err)
	}
	return nil
}
