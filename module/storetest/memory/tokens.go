package memory

import (
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

type token struct {
	store.Token
	secret store.Digest
}

func (s *metadataStore) AddToken(ctx context.Context, t store.Token, secret store.Digest) error {
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
	return m.change(store.CreateTokenChange(t, secret))
}

func (s *metadataStore) FindToken(ctx context.Context, id string) (store.Token, store.Digest, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.Token{}, store.Digest{}, err
	}
	defer leave()
	t := m.tokens[id]
	if t == nil {
		return store.Token{}, store.Digest{}, store.ErrTokenNotFound
	}
	return t.Token, t.secret, nil
}

func (s *metadataStore) Tokens(ctx context.Context) (tokens []store.Token, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, t := range m.tokens {
		tokens = append(tokens, t.Token)
	}
	slices.SortFunc(tokens, func(a, b store.Token) int { return a.Created.Compare(b.Created) })
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
	return m.change(store.RevokeTokenChange(id, act))
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

var _ store.TokenStore = (*metadataStore)(nil)
