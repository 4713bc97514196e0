package memory

import (
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

type token struct {
	registry.Token
	secret registry.Digest
}

func (s *metadataStore) AddToken(ctx context.Context, t registry.Token, secret registry.Digest) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, known := range m.tokens {
		if known.ID == t.ID || registry.Fold(known.Name) == registry.Fold(t.Name) {
			return registry.ErrTokenExists
		}
	}
	return m.change(registry.CreateTokenChange(t, secret))
}

func (s *metadataStore) FindToken(ctx context.Context, id string) (registry.Token, registry.Digest, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return registry.Token{}, registry.Digest{}, err
	}
	defer leave()
	t := m.tokens[id]
	if t == nil {
		return registry.Token{}, registry.Digest{}, registry.ErrTokenNotFound
	}
	return t.Token, t.secret, nil
}

func (s *metadataStore) Tokens(ctx context.Context) (tokens []registry.Token, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, t := range m.tokens {
		tokens = append(tokens, t.Token)
	}
	slices.SortFunc(tokens, func(a, b registry.Token) int { return a.Created.Compare(b.Created) })
	return tokens, nil
}

func (s *metadataStore) DeleteToken(ctx context.Context, id string, act registry.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if m.tokens[id] == nil {
		return registry.ErrTokenNotFound
	}
	return m.change(registry.RevokeTokenChange(id, act))
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

var _ registry.TokenStore = (*metadataStore)(nil)
