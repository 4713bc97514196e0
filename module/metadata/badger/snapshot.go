package badger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/journal"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// snapshot is a read transaction that stays open. It ends with the database, which
// does not wait for it.
type snapshot struct {
	store    *Store
	position registry.Position

	mu      sync.Mutex
	reader  reader
	discard func()
	ended   bool
}

// Snapshot implements registry.Journaled.
func (s *Store) Snapshot(ctx context.Context) (registry.Snapshot, error) {
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

// Position implements registry.Snapshot.
func (v *snapshot) Position() registry.Position { return v.position }

// FindBlob implements registry.Snapshot.
func (v *snapshot) FindBlob(digest registry.Digest) (registry.Blob, error) {
	blob, err := v.find(digest)
	if !errors.Is(err, registry.ErrBlobNotFound) {
		return blob, err
	}
	if _, err := v.store.enter(); err != nil {
		return registry.Blob{}, err
	}
	defer v.store.use.RUnlock()
	if lost := v.store.trust(); lost != nil {
		return registry.Blob{}, lost
	}
	return blob, err
}

func (v *snapshot) find(digest registry.Digest) (registry.Blob, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return registry.Blob{}, fmt.Errorf("%w: the snapshot has ended", registry.ErrUnavailable)
	}
	return findBlob(v.reader, digest)
}

// view reads what the database has for certain, and not what is ahead of it.
func (v *snapshot) view(read func(reader) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return fmt.Errorf("%w: the snapshot has ended", registry.ErrUnavailable)
	}
	return read(reader{db: v.reader.db, txn: v.reader.txn})
}

// Close implements registry.Snapshot.
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

// ReadJournal implements registry.Journaled.
func (s *Store) ReadJournal(ctx context.Context, after, to uint64, w io.Writer) error {
	o, err := s.current()
	if err != nil {
		return err
	}
	from := registry.Position{Sequence: after}
	if after == 0 {
		if from, err = writeStart(ctx, o.journal, to, w); err != nil {
			return err
		}
	}
	return o.journal.Read(ctx, from, to, func(line []byte, _ registry.Change, _ registry.Digest) error {
		_, err := w.Write(line)
		return err
	})
}

// writeStart writes the newest checkpoint of a journal that is whole and stands for no
// more changes than are wanted, and returns the position that it stands for.
func writeStart(ctx context.Context, j *journal.Journal, to uint64, w io.Writer) (registry.Position, error) {
	start, found, err := j.Start(ctx, to)
	if err != nil || !found {
		return registry.Position{}, err
	}
	mark, err := j.ReadCheckpoint(ctx, start, func(line []byte, _ registry.Change) error {
		_, err := w.Write(line)
		return err
	})
	return mark.At, err
}

var (
	_ registry.Journaled = (*Store)(nil)
	_ registry.Totaled   = (*Store)(nil)
)
