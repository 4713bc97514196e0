package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// useInterval is how often the last uses of tokens are stored. None is on the way
// of a request.
const useInterval = time.Minute

// tokenUses gathers when tokens were last used, until that is stored.
type tokenUses struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (u *tokenUses) Add(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[string]time.Time)
	}
	u.last[id] = at
}

// gathered returns what was gathered. It stays until it is said to be stored.
func (u *tokenUses) gathered() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.last)
}

// stored forgets uses that are stored, but for those of which there are newer ones.
func (u *tokenUses) stored(uses map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.last, func(id string, at time.Time) bool { return at.Equal(uses[id]) })
}

func (u *tokenUses) of(id string) (time.Time, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, used := u.last[id]
	return at, used
}

// tokens returns the store of tokens. ErrNoTokens when the metadata store has
// none.
func (r *Registry) tokens() (store.TokenStore, error) {
	if tokenStore, ok := r.metadata.(store.TokenStore); ok {
		return tokenStore, nil
	}
	return nil, store.ErrNoTokens
}

// CreateToken makes a token with the name, user, scope and expiry of the draft and
// returns it with its text, which nobody can find out again. ErrInvalidToken,
// ErrTokenExists, ErrNoTokens, ErrUnavailable.
func (r *Registry) CreateToken(ctx context.Context, draft store.Token) (token store.Token, text string, err error) {
	tokenStore, err := r.tokens()
	if err != nil {
		return store.Token{}, "", err
	}
	draft.Created, draft.LastUsed = r.now().UTC(), time.Time{}
	if err := draft.Check(draft.Created); err != nil {
		return store.Token{}, "", err
	}
	switch other, _, err := tokenStore.FindToken(ctx, store.Fold(draft.Name)); {
	case err == nil:
		return store.Token{}, "", fmt.Errorf("%w: %s is the ID of the token %s: whoever revokes one would mean the other", store.ErrInvalidToken, draft.Name, other.Name)
	case !errors.Is(err, store.ErrTokenNotFound):
		return store.Token{}, "", fmt.Errorf("looking for a token of that ID: %w", err)
	}
	id, secret := newTokenText()
	draft.ID = id
	if err := tokenStore.AddToken(ctx, draft, digestOfSecret(secret)); err != nil {
		return store.Token{}, "", fmt.Errorf("adding token: %w", err)
	}
	return draft, store.TokenPrefix + id + secret, nil
}

// CheckToken returns the token of a text. ErrTokenNotFound when there is none or
// its secret is wrong, ErrTokenExpired, ErrNoTokens, ErrUnavailable. With a wrong
// secret, and with ErrTokenExpired, the token is whose ID the text has.
func (r *Registry) CheckToken(ctx context.Context, text string) (store.Token, error) {
	tokenStore, err := r.tokens()
	if err != nil {
		return store.Token{}, err
	}
	id, secret, err := parseTokenText(text)
	if err != nil {
		return store.Token{}, err
	}
	token, want, err := tokenStore.FindToken(ctx, id)
	if err != nil {
		return store.Token{}, err
	}
	if subtle.ConstantTimeCompare(secret[:], want[:]) != 1 {
		return token, fmt.Errorf("%w: wrong secret", store.ErrTokenNotFound)
	}
	now := r.now()
	if !token.Expires.IsZero() && !now.Before(token.Expires) {
		return token, store.ErrTokenExpired
	}
	r.uses.Add(id, now)
	return token, nil
}

// Tokens returns all tokens, the oldest first. ErrNoTokens.
func (r *Registry) Tokens(ctx context.Context) ([]store.Token, error) {
	tokenStore, err := r.tokens()
	if err != nil {
		return nil, err
	}
	tokens, err := tokenStore.Tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	for i := range tokens {
		if at, used := r.uses.of(tokens[i].ID); used {
			tokens[i].LastUsed = at.UTC()
		}
	}
	return tokens, nil
}

// RevokeToken forgets the token of an ID or a name and returns it. From then on
// nobody can use it. ErrTokenNotFound, ErrNoTokens, ErrUnavailable.
func (r *Registry) RevokeToken(ctx context.Context, idOrName string) (store.Token, error) {
	// No token has the ID of another one as its name: CreateToken sees to that.
	return r.revokeToken(ctx, func(t store.Token) bool { return t.ID == idOrName || store.Fold(t.Name) == store.Fold(idOrName) })
}

// RevokeTokenNamed is RevokeToken for a name only.
func (r *Registry) RevokeTokenNamed(ctx context.Context, name string) (store.Token, error) {
	return r.revokeToken(ctx, func(t store.Token) bool { return store.Fold(t.Name) == store.Fold(name) })
}

func (r *Registry) revokeToken(ctx context.Context, isMeant func(store.Token) bool) (store.Token, error) {
	tokenStore, err := r.tokens()
	if err != nil {
		return store.Token{}, err
	}
	tokens, err := tokenStore.Tokens(ctx)
	if err != nil {
		return store.Token{}, fmt.Errorf("looking for the token: %w", err)
	}
	i := slices.IndexFunc(tokens, isMeant)
	if i < 0 {
		return store.Token{}, store.ErrTokenNotFound
	}
	if err := tokenStore.DeleteToken(ctx, tokens[i].ID, store.Act{Time: r.now()}); err != nil {
		return store.Token{}, fmt.Errorf("deleting token: %w", err)
	}
	return tokens[i], nil
}

// storeUses stores the last uses that were gathered and returns how many tokens
// they are of. What cannot be stored is tried again with the next ones.
func (r *Registry) storeUses(ctx context.Context) (stored int, err error) {
	uses := r.uses.gathered()
	if len(uses) == 0 {
		return 0, nil
	}
	tokenStore, err := r.tokens()
	if err == nil {
		end := store.Attend(r.log, "storing the last uses of tokens")
		err = tokenStore.UseTokens(ctx, uses)
		end()
	}
	if err != nil {
		return 0, fmt.Errorf("storing the last uses of tokens: %w", err)
	}
	r.uses.stored(uses)
	return len(uses), nil
}

// closeTimeout bounds what Close still stores.
const closeTimeout = 5 * time.Second

func (r *Registry) storeLastUses() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_, err := r.storeUses(ctx)
	if errors.Is(err, store.ErrUnavailable) {
		return nil // a store that takes no change cannot take this one
	}
	return err
}
