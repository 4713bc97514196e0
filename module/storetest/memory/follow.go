package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// following is what those have who ask for changes later.
type following struct {
	next      chan struct{} // closed with the next change; nil when nobody waits
	bookmarks map[string]store.Bookmark
}

// announce wakes those who wait.
func (f *following) announce() {
	if f.next != nil {
		close(f.next)
		f.next = nil
	}
}

// LastChange implements store.Changes.
func (s *metadataStore) LastChange(context.Context) (uint64, error) {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	return s.place.at.Sequence, nil
}

// HoldChanges implements store.Changes: all stay.
func (s *metadataStore) HoldChanges(context.Context, uint64) error { return nil }

// Bookmarks implements store.Changes.
func (s *metadataStore) Bookmarks(context.Context) (map[string]store.Bookmark, error) {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	return maps.Clone(s.place.bookmarks), nil
}

// SaveBookmarks implements store.Changes.
func (s *metadataStore) SaveBookmarks(ctx context.Context, bookmarks map[string]store.Bookmark) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	m.bookmarks = maps.Clone(bookmarks)
	return nil
}

// Follow implements store.Changes.
func (s *metadataStore) Follow(after uint64) store.Follower {
	return &follower{s, after}
}

type follower struct {
	store *metadataStore
	after uint64
}

// Next implements store.Follower.
func (f *follower) Next(ctx context.Context, limit int) (changes []store.Change, err error) {
	lines, err := f.await(ctx)
	if err != nil {
		return nil, err
	}
	for _, line := range lines[:min(limit, len(lines))] {
		change, _, err := jsonl.LineChain(line)
		if err != nil {
			return nil, fmt.Errorf("reading a line: %w", err)
		}
		changes = append(changes, change)
		f.after = change.Sequence
	}
	return changes, nil
}

// await returns the lines that were not told, at least one.
func (f *follower) await(ctx context.Context) ([][]byte, error) {
	for {
		m, leave, err := f.store.enter(ctx)
		if err != nil {
			return nil, err
		}
		if m.at.Sequence > f.after {
			defer leave()
			return slices.Clone(m.lines[f.after:]), nil
		}
		if m.next == nil {
			m.next = make(chan struct{})
		}
		next := m.next
		leave()
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var _ store.Changes = (*metadataStore)(nil)
