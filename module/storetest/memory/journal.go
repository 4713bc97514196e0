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

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// journal is the lines of all changes.
type journal struct {
	lines [][]byte
	at    registry.Position
}

func (j *journal) append(change registry.Change) (registry.Change, error) {
	change.Sequence, change.Synced = j.at.Sequence+1, j.at.Sequence
	line, chain, err := registry.AppendLine(nil, j.at.Chain, change)
	if err != nil {
		return change, err
	}
	j.lines = append(j.lines, line)
	j.at = registry.Position{Sequence: change.Sequence, Chain: chain}
	return change, nil
}

// replay makes the state that the lines say.
func (j *journal) replay(id string) (state, error) {
	made := newState(id)
	var at registry.Position
	for _, line := range j.lines {
		var err error
		if at, err = registry.ReadLines(line, at, made.apply); err != nil {
			return made, err
		}
	}
	return made, nil
}

// Snapshot implements registry.Journaled.
func (s *metadataStore) Snapshot(ctx context.Context) (registry.Snapshot, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	taken := &snapshot{at: m.at, blobs: make(map[registry.Digest]registry.Blob, len(m.blobs))}
	for digest, b := range m.blobs {
		taken.blobs[digest] = registry.Blob{Locator: b.locator, Digest: digest, Size: b.size}
	}
	return taken, nil
}

type snapshot struct {
	at    registry.Position
	blobs map[registry.Digest]registry.Blob
}

func (s *snapshot) Position() registry.Position { return s.at }

func (s *snapshot) FindBlob(digest registry.Digest) (registry.Blob, error) {
	found, ok := s.blobs[digest]
	if !ok {
		return registry.Blob{}, registry.ErrBlobNotFound
	}
	return found, nil
}

func (s *snapshot) Close() {}

// ReadJournal implements registry.Journaled.
func (s *metadataStore) ReadJournal(ctx context.Context, after, to uint64, w io.Writer) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	if to > m.at.Sequence || after > to {
		leave()
		return fmt.Errorf("%w: no changes %d to %d", registry.ErrDamaged, after+1, to)
	}
	lines := slices.Clone(m.lines[:to])
	leave()
	var at registry.Position
	for i, line := range lines {
		if at, err = registry.ReadLines(line, at, func(registry.Change) error { return nil }); err != nil {
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

// Check implements registry.Journaled.
func (s *metadataStore) Check(ctx context.Context, report func(problem string)) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	replayed, err := m.journal.replay(m.id)
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

func sameFile(a, b registry.File) bool {
	same := a.Created.Equal(b.Created)
	a.Created = b.Created
	return same && a == b
}

// Identity implements registry.MetadataBackend. The place is its own backend, for
// every root.
func (m *Metadata) Identity(string) string { return fmt.Sprintf("memory %p", m) }

// OpenMetadata implements registry.MetadataBackend.
func (m *Metadata) OpenMetadata(context.Context, string, *slog.Logger) (registry.MetadataStore, error) {
	return m.Open()
}

// claim locks the place against stores.
func (m *Metadata) claim() (leave func(), err error) {
	m.mu.Lock()
	if m.isOpen {
		m.mu.Unlock()
		return nil, registry.ErrLocked
	}
	return m.mu.Unlock, nil
}

// ImportJournal implements registry.JournalBackend.
func (m *Metadata) ImportJournal(_ context.Context, _, id string, lines io.Reader, _ *slog.Logger) error {
	leave, err := m.claim()
	if err != nil {
		return err
	}
	defer leave()
	if m.at.Sequence > 0 || len(m.versions) > 0 {
		return fmt.Errorf("%w: not a new store", registry.ErrFormat)
	}
	var imported journal
	reader := bufio.NewReader(lines)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if imported.at, err = registry.ReadLines(line, imported.at, func(registry.Change) error { return nil }); err != nil {
			return err
		}
		imported.lines = append(imported.lines, line)
	}
	m.journal = imported
	m.state, err = imported.replay(id)
	return err
}

// Rebuild implements registry.JournalBackend.
func (m *Metadata) Rebuild(context.Context, string, *slog.Logger) error {
	leave, err := m.claim()
	if err != nil {
		return err
	}
	defer leave()
	m.state, err = m.journal.replay(m.id)
	return err
}

// RebuildJournal implements registry.JournalBackend.
func (m *Metadata) RebuildJournal(context.Context, string, *slog.Logger) error {
	leave, err := m.claim()
	if err != nil {
		return err
	}
	defer leave()
	var changes []registry.Change
	for _, v := range m.versions {
		for _, file := range v.files {
			file.Locator = m.blobs[file.Digest].locator
			changes = append(changes, registry.PublishChange(file.Ref, file))
		}
	}
	for _, t := range m.tokens {
		changes = append(changes, registry.CreateTokenChange(t.Token, t.secret))
	}
	slices.SortStableFunc(changes, func(a, b registry.Change) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Operation, b.Operation))
	})
	var rebuilt journal
	for _, change := range changes {
		if _, err := rebuilt.append(change); err != nil {
			return err
		}
	}
	m.journal = rebuilt
	return nil
}

var (
	_ registry.Journaled       = (*metadataStore)(nil)
	_ registry.MetadataBackend = (*Metadata)(nil)
	_ registry.JournalBackend  = (*Metadata)(nil)
)
