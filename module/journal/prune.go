package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
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
		if err := j.options.FS.Remove(checkpoints[i].Path(j.path)); err != nil {
			return fmt.Errorf("removing an old checkpoint: %w", err)
		}
	}
	segments, err := files.Segments(j.path)
	if err != nil {
		return err
	}
	spare := checkpoints[checkpointsKept-1]
	old := 0
	for old < len(segments) && segments[old].Last > 0 && segments[old].Last <= spare.Sequence && (keep.From == 0 || segments[old].Last < keep.From) {
		old++
	}
	for _, s := range segments[:max(old-keep.Segments, 0)] {
		if young, err := j.isYoung(s, keep.Age); err != nil || young {
			return err
		}
		if err := s.Remove(j.options.FS, j.path); err != nil {
			return fmt.Errorf("removing segment %s: %w", s.Name(), err)
		}
	}
	return nil
}

func (j *Journal) isYoung(s files.Segment, age time.Duration) (bool, error) {
	if age <= 0 {
		return false, nil
	}
	info, err := os.Stat(s.Path(j.path))
	if err != nil {
		return false, fmt.Errorf("asking for the age of a segment: %w", err)
	}
	return time.Since(info.ModTime()) < age, nil
}

// PutAside moves a damaged file out of the journal, into a directory.
func (j *Journal) PutAside(name, directory string) error {
	if err := j.options.FS.Rename(filepath.Join(j.path, name), filepath.Join(directory, name)); err != nil {
		return fmt.Errorf("putting %s of the journal aside: %w", name, err)
	}
	return nil
}
