package badger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// tokenRecord is a token without its last use, which is stored by itself: it
// changes often and may be lost.
type tokenRecord struct {
	token  grant.Token
	secret store.Digest
}

// nameRecord is an entry of the index of tokens by name.
type nameRecord struct{ tokenID string }

// useRecord says when a token was last used.
type useRecord struct{ at time.Time }

func (r *tokenRecord) Fields(f *coding.Fields) {
	f.Text(&r.token.ID)
	f.Text(&r.token.Name)
	f.Text(&r.token.User)
	coding.List(f, &r.token.Scope.Actions, func(action *grant.Action) { f.Text((*string)(action)) })
	coding.List(f, &r.token.Scope.Owners, f.Pattern)
	coding.List(f, &r.token.Scope.Packages, f.Pattern)
	f.Time(&r.token.Created)
	f.OptionalTime(&r.token.Expires)
	f.Digest(&r.secret)
}

func (r *nameRecord) Fields(f *coding.Fields) { f.Text(&r.tokenID) }

func (r *useRecord) Fields(f *coding.Fields) { f.Time(&r.at) }

// AddToken implements grant.Store.
func (s *Store) AddToken(ctx context.Context, token grant.Token, secret store.Digest) error {
	return s.change(ctx, grant.CreateChange(token, secret), func(b *batch) error { return b.addToken(token, secret) })
}

func (b *batch) addToken(token grant.Token, secret store.Digest) error {
	key, nameKey := tokenKey(token.ID), tokenNameKey(token.Name)
	for _, taken := range []struct {
		key    []byte
		record coding.Record
	}{{key, new(tokenRecord)}, {nameKey, new(nameRecord)}} {
		if found, err := b.get(taken.key, taken.record); err != nil || found {
			return orNotFound(err, store.ErrTokenExists)
		}
	}
	b.state.sums.tokens += scatterText(token.ID)
	b.put(key, &tokenRecord{token, secret})
	b.put(nameKey, &nameRecord{token.ID})
	return nil
}

// FindToken implements grant.Store.
func (s *Store) FindToken(ctx context.Context, id string) (token grant.Token, secret store.Digest, err error) {
	if err := ctx.Err(); err != nil {
		return grant.Token{}, store.Digest{}, err
	}
	if token, secret, ok := s.recallToken(id); ok {
		return token, secret, nil
	}
	err = s.view(ctx, func(r reader) error {
		record, use := new(tokenRecord), new(useRecord)
		if found, err := r.get(tokenKey(id), record); err != nil || !found {
			return orNotFound(err, store.ErrTokenNotFound)
		}
		token, secret = record.token, record.secret
		found, err := r.get(tokenUseKey(id), use)
		if err != nil || !found {
			return err
		}
		token.LastUsed = use.at
		s.cache.put(tokenKey(id), record, r.seen)
		s.cache.put(tokenUseKey(id), use, r.seen)
		return nil
	})
	return token, secret, err
}

// recallToken is FindToken for a token that is in memory with its last use.
func (s *Store) recallToken(id string) (token grant.Token, secret store.Digest, ok bool) {
	if _, err := s.enter(); err != nil {
		return token, secret, false
	}
	defer s.use.RUnlock()
	record, known := s.cache.get(tokenKey(id)).(*tokenRecord)
	use, used := s.cache.get(tokenUseKey(id)).(*useRecord)
	if !known || !used {
		return token, secret, false
	}
	token = record.token
	token.LastUsed = use.at
	return token, record.secret, true
}

// Tokens implements grant.Store.
func (s *Store) Tokens(ctx context.Context) (tokens []grant.Token, err error) {
	err = s.view(ctx, func(r reader) error {
		return r.scan([]byte(tokenPrefix), nil, func(key, value []byte) error {
			var record tokenRecord
			if err := coding.Decode(key, value, &record); err != nil {
				return err
			}
			if err := lastUse(r, &record.token); err != nil {
				return err
			}
			tokens = append(tokens, record.token)
			return ctx.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tokens, func(a, b grant.Token) int { return a.Created.Compare(b.Created) })
	return tokens, nil
}

func lastUse(r reader, token *grant.Token) error {
	var use useRecord
	found, err := r.get(tokenUseKey(token.ID), &use)
	if found {
		token.LastUsed = use.at
	}
	return err
}

// DeleteToken implements grant.Store.
func (s *Store) DeleteToken(ctx context.Context, id string, act store.Act) error {
	return s.change(ctx, grant.RevokeChange(id, act), func(b *batch) error { return b.deleteToken(id) })
}

func (b *batch) deleteToken(id string) error {
	var record tokenRecord
	if found, err := b.get(tokenKey(id), &record); err != nil || !found {
		return orNotFound(err, store.ErrTokenNotFound)
	}
	b.state.sums.tokens -= scatterText(id)
	b.delete(tokenKey(id))
	b.delete(tokenNameKey(record.token.Name))
	b.delete(tokenUseKey(id))
	return nil
}

// UseTokens implements grant.Store.
func (s *Store) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(uses)), batchWeight) {
		err := s.submit(ctx, len(ids), func(b *batch) error {
			for _, id := range ids {
				if found, err := b.get(tokenKey(id), new(tokenRecord)); err != nil || !found {
					if err != nil {
						return err
					}
					continue // revoked meanwhile
				}
				b.put(tokenUseKey(id), &useRecord{uses[id]})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("recording uses: %w", err)
		}
	}
	return nil
}

var _ grant.Store = (*Store)(nil)
