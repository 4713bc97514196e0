package badger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// snapshot is a read transaction that stays open. It ends with the database, which
// does not wait for it.
type snapshot struct {
	store    *Store
	position store.Position
	start    *journal.Checkpoint // that its lines begin with, once they were read

	mu      sync.Mutex
	reader  reader
	discard func()
	ended   bool
}

// Snapshot implements store.Journaled.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.use.RUnlock()
	if err := s.trust(); err != nil {
		return nil, err
	}
	taken := &snapshot{store: s}
	taken.reader, taken.discard = o.db.snapshot()
	var state stateRecord
	if _, err := taken.reader.get(stateKey, &state); err != nil {
		taken.end()
		return nil, err
	}
	taken.position = state.position
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshots[taken] = struct{}{}
	return taken, nil
}

// Position implements store.Snapshot.
func (v *snapshot) Position() store.Position { return v.position }

// FindBlob implements store.Snapshot.
func (v *snapshot) FindBlob(digest store.Digest) (blob store.Blob, err error) {
	err = v.read(func(r reader) (err error) { blob, err = findBlob(r, digest); return err })
	if errors.Is(err, store.ErrBlobNotFound) {
		err = v.store.view(context.Background(), func(reader) error { return err }) // unless it may have been lost
	}
	return blob, err
}

// view reads what the database has for certain, and not what is ahead of it.
func (v *snapshot) view(read func(reader) error) error {
	return v.read(func(r reader) error { return read(reader{db: r.db, txn: r.txn}) })
}

func (v *snapshot) read(read func(reader) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return fmt.Errorf("%w: the snapshot has ended", store.ErrUnavailable)
	}
	return read(v.reader)
}

// Close implements store.Snapshot.
func (v *snapshot) Close() {
	v.store.mu.Lock()
	delete(v.store.snapshots, v)
	v.store.mu.Unlock()
	v.end()
}

func (v *snapshot) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ended {
		v.discard()
		v.ended = true
	}
}

// endSnapshots ends those that are open, before the database is closed.
func (s *Store) endSnapshots() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for open := range s.snapshots {
		open.end()
	}
	clear(s.snapshots)
}

// ReadJournal implements store.Snapshot.
func (v *snapshot) ReadJournal(ctx context.Context, after, to uint64, w io.Writer) error {
	o, err := v.store.current()
	if err != nil {
		return err
	}
	from := store.Position{Sequence: after}
	if after == 0 {
		if from, err = v.writeStart(ctx, o.journal, to, w); err != nil {
			return err
		}
	}
	return o.journal.Read(ctx, from, to, func(line []byte, _ store.Change, _ store.Digest) error {
		_, err := w.Write(line)
		return err
	})
}

// writeStart writes the newest checkpoint of a journal that is whole and stands for no
// more changes than are wanted, and returns the position that it stands for. It is chosen
// once: a newer one may be made while the lines are read.
func (v *snapshot) writeStart(ctx context.Context, j *journal.Journal, to uint64, w io.Writer) (store.Position, error) {
	if v.start == nil {
		start, _, err := j.Start(ctx, to)
		if err != nil {
			return store.Position{}, err
		}
		v.start = &start
	}
	if *v.start == (journal.Checkpoint{}) {
		return store.Position{}, nil // all changes must be read
	}
	head, err := j.ReadCheckpoint(ctx, *v.start, func(line []byte, _ store.Change) error {
		_, err := w.Write(line)
		return err
	})
	return head.At, err
}

var (
	_ store.Journaled = (*Store)(nil)
	_ store.Totaled   = (*Store)(nil)
)
