package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Damage is a file of a journal that is not what was written.
type Damage struct {
	// Name of the file.
	Name string
	// Last is the number of the last change that it has, as far as is known.
	Last uint64
	// Active tells whether the journal is written to that file.
	Active bool
	// Err says what is wrong.
	Err error
}

// Files returns the names of all files of the journal: checkpoints, then segments in
// their order.
func (j *Journal) Files() (names []string, err error) { return files.Names(j.path) }

// Verify reads one file, as far as changes were durable when it began, and calls spend with
// the bytes that it has read. A file that is gone is not damaged.
func (j *Journal) Verify(ctx context.Context, name string, spend func(bytes int) error) (damage *Damage, err error) {
	each := func(line []byte) error { return firstError(ctx.Err(), func() error { return spend(len(line)) }) }
	if c, ok := files.ParseCheckpoint(name); ok {
		_, err = j.ReadCheckpoint(ctx, c, func(line []byte, _ store.Change) error { return each(line) })
		return damageOf(name, c.Sequence, false, err)
	}
	durable := j.Position() // before the active segment can be another one
	segments, err := files.Segments(j.path)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(segments, func(s files.Segment) bool { return s.Name() == name })
	if at < 0 {
		return nil, nil // compressed or removed meanwhile
	}
	of, active := segments[at], segments[at].Last == 0
	to := store.Position{Sequence: of.Last}
	if active {
		to = durable
	}
	err = j.verifySegment(of, to, each, segments[at+1:])
	return damageOf(name, to.Sequence, active, err)
}

func damageOf(name string, last uint64, active bool, err error) (*Damage, error) {
	switch {
	case errors.Is(err, store.ErrDamaged):
		return &Damage{Name: name, Last: last, Active: active, Err: err}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	return nil, err
}

// verifySegment reads a segment up to a change, which the next one must follow, and which has
// the chain that is given of the active one.
func (j *Journal) verifySegment(of files.Segment, to store.Position, each func(line []byte) error, next []files.Segment) error {
	s, err := j.openSegment(of)
	if err != nil {
		return err
	}
	defer s.Close()
	for s.position.Sequence < to.Sequence {
		line, _, err := s.next()
		if err == io.EOF {
			err = fmt.Errorf("%w: it ends after change %d", store.ErrDamaged, s.position.Sequence)
		}
		if err == nil {
			err = each(line)
		}
		if err != nil {
			return fmt.Errorf("segment %s of the journal: %w", of.Name(), err)
		}
	}
	if of.Last == 0 {
		if s.position != to {
			return fmt.Errorf("%w: segment %s of the journal has another change %d", store.ErrDamaged, of.Name(), to.Sequence)
		}
		return nil
	}
	// The checksum of a compressed segment is behind its last line.
	if _, err := s.line(); err != io.EOF {
		return fmt.Errorf("%w: segment %s of the journal does not end after change %d", store.ErrDamaged, of.Name(), to.Sequence)
	}
	if len(next) == 0 || next[0].First != of.Last+1 {
		return nil // a hole, which CheckWhole knows of
	}
	following, err := openSegment(j.path, j.store, next[0])
	if err != nil {
		return nil // its own damage
	}
	defer following.Close()
	if following.position != s.position {
		if _, _, err := following.next(); err != nil && err != io.EOF || s.position == j.Position() {
			return nil // of its header
		}
		return fmt.Errorf("%w: segment %s of the journal does not end where the next begins", store.ErrDamaged, of.Name())
	}
	return nil
}

// Has reports ErrHistories when the journal has another change at a position, and
// ErrDamaged when it cannot be told. One that only a checkpoint has is not looked for.
func (j *Journal) Has(ctx context.Context, at store.Position) error {
	if at == j.Position() || at.Sequence == 0 {
		return nil
	}
	// The segment of the change itself: the next one may not have begun.
	s, err := j.find(at.Sequence)
	if errors.Is(err, store.ErrNotContinued) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	return s.skip(ctx, Place{Position: at})
}

// CheckWhole reports a hole after the newest checkpoint. ErrDamaged.
func (j *Journal) CheckWhole() error {
	checkpoints, err := j.Checkpoints()
	if err != nil {
		return err
	}
	if len(checkpoints) == 0 {
		return files.CheckAfter(j.path, 0)
	}
	return files.CheckAfter(j.path, checkpoints[0].Sequence)
}

// Size is the name, the size and the time of the last write of each file: who has read
// a journal that is damaged need not read it again while that is the same.
func Size(path string) (text string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading journal: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return "", fmt.Errorf("reading journal: %w", err)
		}
		text += fmt.Sprintln(info.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return text, nil
}
