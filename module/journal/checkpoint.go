package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// A checkpoint is what there is at a position of the journal, as lines that are chained
// among themselves, in a file of its own. It stands for all changes up to there, so
// that their segments can go.

// Checkpoint is the file of one, as its name tells.
type Checkpoint = files.Checkpoint

// Checkpoints returns the checkpoints that there are, the newest first.
func (j *Journal) Checkpoints() ([]Checkpoint, error) { return files.Checkpoints(j.path) }

// WriteCheckpoint makes a checkpoint durable. Tell calls its argument for each version,
// file and token that there was; an error of it ends the checkpoint. It may run
// concurrently with Append. After an error there is no new checkpoint.
func (j *Journal) WriteCheckpoint(head store.CheckpointHead, tell func(func(store.Change) error) error) (Checkpoint, error) {
	made := Checkpoint{Sequence: head.At.Sequence}
	if err := j.roomForCheckpoint(); err != nil {
		return made, fmt.Errorf("writing checkpoint: %w", err)
	}
	temporary := disk.Temporary(filepath.Join(j.path, files.CheckpointPrefix))
	err := disk.WriteDurably(j.options.FS, temporary, func(file io.Writer) (err error) {
		made.Records, err = j.writeCheckpoint(file, head, tell)
		return err
	})
	if err == nil {
		err = j.nameCheckpoint(temporary, made)
	}
	if err != nil {
		return made, fmt.Errorf("writing checkpoint: %w", err)
	}
	return made, nil
}

// roomForCheckpoint asks for as much as the newest checkpoint takes.
func (j *Journal) roomForCheckpoint() error {
	all, err := j.Checkpoints()
	if err != nil || j.options.Room == nil {
		return err
	}
	var size int64
	if len(all) > 0 {
		info, err := os.Stat(all[0].Path(j.path))
		if err != nil {
			return err
		}
		size = info.Size()
	}
	return j.options.Room(size)
}

// writeCheckpoint returns how many records there are, which is at least 1: no name has 0.
func (j *Journal) writeCheckpoint(file io.Writer, head store.CheckpointHead, tell func(func(store.Change) error) error) (records uint64, err error) {
	err = compressed(file, func(zip io.Writer) error {
		if _, err := zip.Write(jsonl.AppendHeader(nil, jsonl.NewHeader(j.store, store.Position{}))); err != nil {
			return err
		}
		records, err = jsonl.WriteCheckpoint(zip, head, tell)
		return err
	})
	return max(records, 1), err
}

// nameCheckpoint gives a checkpoint its name.
func (j *Journal) nameCheckpoint(temporary string, made Checkpoint) error {
	j.naming.Lock()
	defer j.naming.Unlock()
	if err := disk.PlaceNew(j.options.FS, temporary, made.Path(j.path)); err != nil {
		return fmt.Errorf("naming it: %w", err)
	}
	return nil
}

// ReadCheckpoint calls fn with each line of a checkpoint, the first and the last of all
// too. The line is fn's to keep. It returns what the checkpoint stands for. ErrDamaged
// when it is not what was written.
func (j *Journal) ReadCheckpoint(ctx context.Context, c Checkpoint, fn func(line []byte, change store.Change) error) (head store.CheckpointHead, err error) {
	s, err := openSource(c.Path(j.path), j.store, files.Segment{First: 1, Compressed: true})
	if err != nil {
		return head, err
	}
	head, err = s.checkpoint(ctx, fn)
	if err == nil && head.At.Sequence != c.Sequence {
		err = fmt.Errorf("%w: it stands for the changes up to %d", store.ErrDamaged, head.At.Sequence)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return head, fmt.Errorf("reading checkpoint %s of journal: %w", c.Name(), err)
	}
	return head, nil
}

// checkpoint reads a checkpoint and what ends it.
func (s *source) checkpoint(ctx context.Context, fn func(line []byte, change store.Change) error) (head store.CheckpointHead, err error) {
	head, err = s.checkpointWithin(ctx, fn)
	if err != nil {
		return head, err
	}
	if _, err := s.line(); err != io.EOF {
		return head, fmt.Errorf("%w: it does not end where it says", store.ErrDamaged)
	}
	return head, nil
}

// checkpointWithin reads a checkpoint that something else may follow.
func (s *source) checkpointWithin(ctx context.Context, fn func(line []byte, change store.Change) error) (head store.CheckpointHead, err error) {
	for {
		line, change, err := s.next()
		if err == io.EOF {
			err = fmt.Errorf("%w: it ends after line %d", store.ErrDamaged, s.position.Sequence)
		}
		first := change.Sequence == 1
		if err == nil && first != (change.Operation == store.OperationCheckpoint) ||
			err == nil && (first || change.Operation == store.OperationEnd) && change.Checkpoint == nil {
			err = fmt.Errorf("%w: it does not say what it stands for", store.ErrDamaged)
		}
		if err == nil {
			err = firstError(ctx.Err(), func() error { return fn(line, change) })
		}
		if err != nil {
			return head, err
		}
		if first {
			head = *change.Checkpoint
		}
		if change.Operation == store.OperationEnd {
			return head, nil
		}
	}
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// Start returns the newest checkpoint that is whole and stands for no change after a
// number, or none when there is none, and all changes must be read. What is damaged is
// logged. When the disk does not read one that is needed, its error is returned.
func (j *Journal) Start(ctx context.Context, to uint64) (c Checkpoint, found bool, err error) {
	all, err := j.Checkpoints()
	if err != nil {
		return c, false, err
	}
	var unread error
	for _, c := range all {
		if c.Sequence > to {
			continue
		}
		_, err := j.ReadCheckpoint(ctx, c, func([]byte, store.Change) error { return nil })
		if err == nil && unread != nil {
			err = files.CheckAfter(j.path, c.Sequence)
		}
		if err == nil {
			return c, true, nil
		}
		if ctx.Err() != nil {
			return c, false, ctx.Err()
		}
		if disk.IsRefusal(err) {
			unread = errors.Join(unread, err)
		}
		j.options.Log.Error("a checkpoint of the journal cannot be used; the one before it is", slog.Any("error", err))
	}
	if unread != nil && files.CheckAfter(j.path, 0) != nil {
		return c, false, fmt.Errorf("reading the checkpoints of the journal: %w", unread)
	}
	return c, false, nil
}

// StartAfter has a journal without a change go on after a position, for which it must
// have a checkpoint.
func (j *Journal) StartAfter(at store.Position) error {
	empty, before := j.active.Path(j.path), j.file
	file, active, err := j.makeSegment(at, nil)
	if err != nil {
		return fmt.Errorf("beginning the journal after its checkpoint: %w", err)
	}
	j.mu.Lock()
	j.file, j.active, j.size, j.position = file, active, active.size, at
	j.mu.Unlock()
	return errors.Join(before.Close(), j.options.FS.Remove(empty))
}
