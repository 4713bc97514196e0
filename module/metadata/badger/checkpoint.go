package badger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// A checkpoint is made when the changes after the last one are more than this share
	// of what that has, so that making them costs a bounded part of each change.
	checkpointShare = 4 // a quarter of it

	// checkpointLeast is how many changes there must be at least.
	checkpointLeast = 20_000

	// checkpointRetry is when one that failed is made again.
	checkpointRetry = time.Minute
)

// checkpointing makes checkpoints beside all else, when they are due.
func (s *Store) checkpointing() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.due:
		}
		if err := s.checkpointIfDue(); err == nil {
			continue
		}
		select {
		case <-s.life.Done():
			return
		case <-time.After(checkpointRetry):
			signal(s.due)
		}
	}
}

// checkpointIfDue makes a checkpoint if it is time for one. Its errors are logged.
func (s *Store) checkpointIfDue() error {
	due, err := s.isCheckpointDue()
	if err == nil && due {
		err = s.Checkpoint(s.life)
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		s.log.Error("making a checkpoint of the journal", slog.Any("error", err))
	}
	return err
}

// isCheckpointDue tells whether the changes after the last checkpoint are too many.
func (s *Store) isCheckpointDue() (bool, error) {
	o, err := s.current()
	if err != nil {
		return false, err
	}
	at := o.journal.Position().Sequence
	if at-min(at, s.checkpointed.Load()) <= uint64(s.checkpointLeast) {
		return false, nil // most often, and without a look at the disk
	}
	all, err := o.journal.Checkpoints()
	if err != nil || len(all) == 0 {
		return err == nil, err
	}
	s.checkpointed.Store(all[0].Sequence)
	after := at - min(at, all[0].Sequence)
	return after > uint64(s.checkpointLeast) && after > all[0].Records/checkpointShare, nil
}

// Checkpoint makes a checkpoint of the journal now, and removes what no longer is needed
// after it. ErrUnavailable, ErrNoSpace. errDatabase when the database is not what was written: then
// the journal stays as it is.
func (s *Store) Checkpoint(ctx context.Context) error {
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	o, made, err := s.writeCheckpoint(ctx)
	if err != nil || made == (journal.Checkpoint{}) {
		return err
	}
	s.checkpointed.Store(made.Sequence)
	s.log.Info("made a checkpoint of the journal", slog.Uint64("change", made.Sequence), slog.Uint64("records", made.Records))
	if s.isRead() {
		return nil // a backup reads what might go; the next checkpoint removes it
	}
	keep := s.keep()
	keep.From = s.Held()
	return o.journal.Prune(keep)
}

// writeCheckpoint makes a checkpoint of what the database has for certain. An empty store
// has none. Of a damaged database all records are compared, if the journal can make it anew.
func (s *Store) writeCheckpoint(ctx context.Context) (o *opened, made journal.Checkpoint, err error) {
	err = s.export(ctx, "writing a checkpoint", func(now *opened, head store.CheckpointHead, tell func(func(store.Change) error) error) (err error) {
		o = now
		made, err = o.journal.WriteCheckpoint(head, tell)
		return err
	})
	if o != nil && errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrUnavailable) && s.verifyOnce(ctx, o.journal) == nil {
		err = errors.Join(err, o.ledger.Doubt())
	}
	return o, made, err
}

// Export implements told.Exporter.
func (s *Store) Export(ctx context.Context, w io.Writer) (at store.Position, err error) {
	err = s.export(ctx, "telling what there is", func(_ *opened, head store.CheckpointHead, tell func(func(store.Change) error) error) (err error) {
		at = head.At
		_, err = jsonl.WriteCheckpoint(w, head, tell)
		return err
	})
	return at, err
}

// export has write tell what the database has for certain. It is not called for an empty store.
func (s *Store) export(ctx context.Context, doing string, write func(*opened, store.CheckpointHead, func(func(store.Change) error) error) error) error {
	if err := s.awaitPersisted(ctx); err != nil {
		return err
	}
	o, err := s.current()
	if err != nil {
		return err
	}
	taken, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer taken.Close()
	view := func(read func(reader) error) error { return taken.(*snapshot).view(read) }
	var state stateRecord
	ids := idRecord{next: 1}
	err = view(func(r reader) error {
		return firstError(
			func() error { _, err := r.get(stateKey, &state); return err },
			func() error { _, err := r.get(nextIDKey, &ids); return err },
		)
	})
	if err == nil && s.readOnly && state.position != taken.Position() {
		err = fmt.Errorf("%w; only the journal has the last changes: make a backup in place of a copy", errReadOnly)
	}
	if err != nil || state.position.Sequence == 0 {
		return err
	}
	end, told := waiting.Attend(s.log, doing), 0
	err = write(o, store.CheckpointHead{At: state.position, NextID: ids.next}, func(tell func(store.Change) error) error {
		return tellAll(ctx, state, view, func(change store.Change) error {
			if told++; told%100 == 0 { // for each record it would be a tenth of the work
				end()
				end = waiting.Attend(s.log, doing)
			}
			return tell(change)
		})
	})
	end()
	return err
}

// isRead tells whether somebody reads the store as it was.
func (s *Store) isRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.snapshots) > 0
}

// Measures implements store.Measured.
func (s *Store) Measures() store.Measures {
	measures := store.Measures{
		Batches: s.batches.Times(), Checkpoint: s.checkpointed.Load(),
		Bytes: disk.Usage(s.path()), JournalBytes: disk.Usage(s.journalPath()),
	}
	j, err := s.journalNow()
	if err != nil {
		return measures
	}
	if all, err := j.Checkpoints(); err == nil && len(all) > 0 {
		measures.Checkpoint = all[0].Sequence
		if info, err := os.Stat(filepath.Join(s.journalPath(), all[0].Name())); err == nil {
			measures.Checkpointed = info.ModTime()
		}
	}
	return measures
}

var _ store.Measured = (*Store)(nil)
