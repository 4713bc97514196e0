package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// AddToken implements grant.Store.
func (s *Store) AddToken(ctx context.Context, token grant.Token, secret store.Digest) error {
	text, err := json.Marshal(grant.CreateChange(token, secret).Token)
	if err != nil {
		return fmt.Errorf("telling the token: %w", err)
	}
	var added bool
	err = s.db.Submit(ctx, &database.Change{
		SQL: `WITH added AS (INSERT INTO {s}.token (id, key, token, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id)
			SELECT EXISTS (SELECT FROM added)`,
		Args: []any{token.ID, store.Fold(token.Name), string(text), token.Created.UnixNano()},
		Scan: func(answer pgx.Row) error { return answer.Scan(&added) },
	})
	if err == nil && !added {
		return store.ErrTokenExists
	}
	return err
}

// DeleteToken implements grant.Store.
func (s *Store) DeleteToken(ctx context.Context, id string, _ store.Act) error {
	if !isName(id) {
		return s.absent(ctx, store.ErrTokenNotFound)
	}
	var deleted bool
	err := s.db.Submit(ctx, &database.Change{
		SQL:  `WITH deleted AS (DELETE FROM {s}.token WHERE id = $1 RETURNING id) SELECT EXISTS (SELECT FROM deleted)`,
		Args: []any{id},
		Scan: func(answer pgx.Row) error { return answer.Scan(&deleted) },
	})
	if err == nil && !deleted {
		return store.ErrTokenNotFound
	}
	return err
}

// storedToken is a token with the digest of its secret.
type storedToken struct {
	grant.Token
	secret store.Digest
}

// tokens reads tokens by the end of a statement.
func (s *Store) tokens(ctx context.Context, end string, args ...any) (tokens []storedToken, err error) {
	var texts []string
	var uses []*int64
	err = s.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		texts, uses = nil, nil
		rows, err := from.Query(ctx, `SELECT token, last_used FROM {s}.token `+end, args...)
		if err != nil {
			return err
		}
		var text string
		var used *int64
		_, err = pgx.ForEachRow(rows, []any{&text, &used}, func() error {
			texts, uses = append(texts, text), append(uses, used)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, text := range texts {
		var told store.TokenChange
		var token storedToken
		if err := json.Unmarshal([]byte(text), &told); err != nil {
			return nil, fmt.Errorf("%w: a token: %w", store.ErrDamaged, err)
		}
		if token.Token, token.secret, err = grant.ParseChange(&told); err != nil {
			return nil, fmt.Errorf("%w: a token: %w", store.ErrDamaged, err)
		}
		token.LastUsed = database.TimeOrZero(uses[i])
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// FindToken implements grant.Store.
func (s *Store) FindToken(ctx context.Context, id string) (grant.Token, store.Digest, error) {
	if !isName(id) {
		return grant.Token{}, store.Digest{}, s.absent(ctx, store.ErrTokenNotFound)
	}
	found, err := s.tokens(ctx, `WHERE id = $1`, id)
	if err != nil {
		return grant.Token{}, store.Digest{}, err
	}
	if len(found) == 0 {
		return grant.Token{}, store.Digest{}, store.ErrTokenNotFound
	}
	return found[0].Token, found[0].secret, nil
}

// Tokens implements grant.Store.
func (s *Store) Tokens(ctx context.Context) (tokens []grant.Token, err error) {
	found, err := s.tokens(ctx, `ORDER BY created, id`)
	for _, token := range found {
		tokens = append(tokens, token.Token)
	}
	return tokens, err
}

// UseTokens implements grant.Store. Of two last uses the later one stays: another
// process may have kept it.
func (s *Store) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	ids, times := make([]string, 0, len(uses)), make([]int64, 0, len(uses))
	for id, at := range uses {
		if isName(id) {
			ids, times = append(ids, id), append(times, at.UnixNano())
		}
	}
	return s.db.Write(ctx, `UPDATE {s}.token t SET last_used = GREATEST(t.last_used, u.used)
		FROM unnest($1::text[], $2::bigint[]) AS u (id, used) WHERE t.id = u.id`, ids, times)
}

var _ grant.Store = (*Store)(nil)
