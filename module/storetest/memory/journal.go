package memory

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// memoryJournal is the lines of all changes.
type memoryJournal struct {
	lines [][]byte
	at    store.Position
}

func (j *memoryJournal) append(change store.Change) (store.Change, error) {
	change.Sequence, change.Synced = j.at.Sequence+1, j.at.Sequence
	line, chain, err := jsonl.AppendLine(nil, j.at.Chain, change)
	if err != nil {
		return change, err
	}
	j.lines = append(j.lines, line)
	j.at = store.Position{Sequence: change.Sequence, Chain: chain}
	return change, nil
}

// replay makes the state that the lines say.
func (j *memoryJournal) replay(id string) (state, error) {
	made := newState(id)
	var at store.Position
	for _, line := range j.lines {
		var err error
		if at, err = jsonl.ReadLines(line, at, made.apply); err != nil {
			return made, err
		}
	}
	return made, nil
}

// Snapshot implements store.Journaled.
func (s *metadataStore) Snapshot(ctx context.Context) (store.Snapshot, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	taken := &snapshot{from: s, at: m.at, blobs: make(map[store.Digest]store.Blob, len(m.blobs))}
	for digest, b := range m.blobs {
		taken.blobs[digest] = store.Blob{Locator: b.locator, Digest: digest, Size: b.size}
	}
	return taken, nil
}

type snapshot struct {
	from  *metadataStore
	at    store.Position
	blobs map[store.Digest]store.Blob
}

func (s *snapshot) Position() store.Position { return s.at }

func (s *snapshot) FindBlob(digest store.Digest) (store.Blob, error) {
	found, ok := s.blobs[digest]
	if !ok {
		return store.Blob{}, store.ErrBlobNotFound
	}
	return found, nil
}

func (s *snapshot) Close() {}

// ReadJournal implements store.Snapshot.
func (s *snapshot) ReadJournal(ctx context.Context, after, to uint64, w io.Writer) error {
	m, leave, err := s.from.enter(ctx)
	if err != nil {
		return err
	}
	if to > m.at.Sequence || after > to {
		leave()
		return fmt.Errorf("%w: no changes %d to %d", store.ErrDamaged, after+1, to)
	}
	lines := slices.Clone(m.lines[:to])
	leave()
	var at store.Position
	for i, line := range lines {
		if at, err = jsonl.ReadLines(line, at, func(store.Change) error { return nil }); err != nil {
			return err
		}
		if uint64(i) < after {
			continue
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// Check implements store.Journaled.
func (s *metadataStore) Check(ctx context.Context, report func(problem string)) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	replayed, err := m.memoryJournal.replay(m.id)
	if err != nil {
		report(err.Error())
		return nil
	}
	for ref, v := range m.versions {
		again := replayed.versions[ref]
		if again == nil || !maps.EqualFunc(v.files, again.files, sameFile) {
			report(fmt.Sprintf("version %v is not as the journal has it", ref))
		}
	}
	if len(replayed.versions) != len(m.versions) || len(replayed.tokens) != len(m.tokens) {
		report("the journal has other versions or tokens")
	}
	return nil
}

func sameFile(a, b store.File) bool {
	same := a.Created.Equal(b.Created)
	a.Created, a.Downloads, a.Downloaded = b.Created, b.Downloads, b.Downloaded // which no journal has
	return same && a == b
}

// Identity implements store.MetadataBackend. The place is its own backend, for
// every root.
func (m *Metadata) Identity(string) string { return fmt.Sprintf("memory %p", m) }

// OpenMetadata implements store.MetadataBackend.
func (m *Metadata) OpenMetadata(context.Context, string, *slog.Logger) (store.MetadataStore, error) {
	return m.Open()
}

// claim locks the place against stores.
func (m *Metadata) claim() (leave func(), err error) {
	m.mu.Lock()
	if m.isOpen {
		m.mu.Unlock()
		return nil, store.ErrLocked
	}
	return m.mu.Unlock, nil
}

// ImportJournal implements store.JournalBackend.
func (m *Metadata) ImportJournal(_ context.Context, _, id string, lines io.Reader, _ *slog.Logger) error {
	leave, err := m.claim()
	if err != nil {
		return err
	}
	defer leave()
	if m.at.Sequence > 0 || len(m.versions) > 0 {
		return fmt.Errorf("%w: not a new store", store.ErrFormat)
	}
	var imported memoryJournal
	reader := bufio.NewReader(lines)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if imported.at, err = jsonl.ReadLines(line, imported.at, func(store.Change) error { return nil }); err != nil {
			return err
		}
		imported.lines = append(imported.lines, line)
	}
	m.memoryJournal = imported
	m.state, err = imported.replay(id)
	return err
}

// Rebuild implements store.JournalBackend.
func (m *Metadata) Rebuild(context.Context, string, *slog.Logger) error {
	leave, err := m.claim()
	if err != nil {
		return err
	}
	defer leave()
	m.state, err = m.memoryJournal.replay(m.id)
	return err
}

// RebuildJournal implements store.JournalBackend.
func (m *Metadata) RebuildJournal(context.Context, string, *slog.Logger) error {
	leave, err := m.claim()
	if err != nil {
		return err
	}
	defer leave()
	var changes []store.Change
	for _, v := range m.versions {
		for _, file := range v.files {
			file.Locator = m.blobs[file.Digest].locator
			change := store.PublishChange(file.Ref, file)
			change.VersionID, change.Rank, change.Draft, change.Released = v.id, v.rank, v.draft, v.released
			changes = append(changes, change)
		}
	}
	for _, t := range m.tokens {
		changes = append(changes, grant.CreateChange(t.Token, t.secret))
	}
	slices.SortStableFunc(changes, func(a, b store.Change) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), a.Time.Compare(b.Time))
	})
	var rebuilt memoryJournal
	for _, change := range changes {
		if _, err := rebuilt.append(change); err != nil {
			return err
		}
	}
	m.memoryJournal = rebuilt
	return nil
}

var (
	_ store.Journaled       = (*metadataStore)(nil)
	_ store.MetadataBackend = (*Metadata)(nil)
	_ store.JournalBackend  = (*Metadata)(nil)
)
