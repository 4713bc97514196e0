package memory

import (
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

type token struct {
	grant.Token
	secret store.Digest
}

func (s *metadataStore) AddToken(ctx context.Context, t grant.Token, secret store.Digest) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, known := range m.tokens {
		if known.ID == t.ID || store.Fold(known.Name) == store.Fold(t.Name) {
			return store.ErrTokenExists
		}
	}
	return m.change(grant.CreateChange(t, secret))
}

func (s *metadataStore) FindToken(ctx context.Context, id string) (grant.Token, store.Digest, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return grant.Token{}, store.Digest{}, err
	}
	defer leave()
	t := m.tokens[id]
	if t == nil {
		return grant.Token{}, store.Digest{}, store.ErrTokenNotFound
	}
	return t.Token, t.secret, nil
}

func (s *metadataStore) Tokens(ctx context.Context) (tokens []grant.Token, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, t := range m.tokens {
		tokens = append(tokens, t.Token)
	}
	slices.SortFunc(tokens, func(a, b grant.Token) int { return a.Created.Compare(b.Created) })
	return tokens, nil
}

func (s *metadataStore) DeleteToken(ctx context.Context, id string, act store.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if m.tokens[id] == nil {
		return store.ErrTokenNotFound
	}
	return m.change(grant.RevokeChange(id, act))
}

func (s *metadataStore) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for id, at := range uses {
		if t := m.tokens[id]; t != nil {
			t.LastUsed = at.UTC()
		}
	}
	return nil
}

var _ grant.Store = (*metadataStore)(nil)
