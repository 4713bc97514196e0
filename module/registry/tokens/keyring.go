package tokens

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// UseInterval is how often the last uses of tokens are stored. None is on the way
// of a request.
const UseInterval = time.Minute

// Keyring makes, checks and revokes the tokens of a registry. All methods may run
// concurrently.
type Keyring struct {
	metadata store.MetadataStore
	now      func() time.Time
	log      *slog.Logger
	uses     uses
}

// NewKeyring returns the keyring of an open store, which stays the caller's.
func NewKeyring(metadata store.MetadataStore, now func() time.Time, log *slog.Logger) *Keyring {
	return &Keyring{metadata: metadata, now: now, log: log}
}

// uses gathers when tokens were last used, until that is stored.
type uses struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (u *uses) add(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[string]time.Time)
	}
	u.last[id] = at
}

// gathered returns what was gathered. It stays until it is said to be stored.
func (u *uses) gathered() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.last)
}

// stored forgets uses that are stored, but for those of which there are newer ones.
func (u *uses) stored(uses map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.last, func(id string, at time.Time) bool { return at.Equal(uses[id]) })
}

func (u *uses) of(id string) (time.Time, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, used := u.last[id]
	return at, used
}

// store returns the store of tokens. ErrNoTokens when the metadata store has
// none.
func (k *Keyring) store() (grant.Store, error) {
	if tokenStore, ok := k.metadata.(grant.Store); ok {
		return tokenStore, nil
	}
	return nil, store.ErrNoTokens
}

// CreateToken makes a token with the name, user, scope and expiry of the draft and
// returns it with its text, which nobody can find out again. ErrInvalidToken,
// ErrTokenExists, ErrNoTokens, ErrUnavailable.
func (k *Keyring) CreateToken(ctx context.Context, draft grant.Token) (token grant.Token, text string, err error) {
	tokenStore, err := k.store()
	if err != nil {
		return grant.Token{}, "", err
	}
	draft.Created, draft.LastUsed = k.now().UTC(), time.Time{}
	if err := draft.Check(draft.Created); err != nil {
		return grant.Token{}, "", err
	}
	switch other, _, err := tokenStore.FindToken(ctx, store.Fold(draft.Name)); {
	case err == nil:
		return grant.Token{}, "", fmt.Errorf("%w: %s is the ID of the token %s: whoever revokes one would mean the other", store.ErrInvalidToken, draft.Name, other.Name)
	case !errors.Is(err, store.ErrTokenNotFound):
		return grant.Token{}, "", fmt.Errorf("looking for a token of that ID: %w", err)
	}
	id, secret := newTokenText()
	draft.ID = id
	if err := tokenStore.AddToken(ctx, draft, digestOfSecret(secret)); err != nil {
		return grant.Token{}, "", fmt.Errorf("adding token: %w", err)
	}
	return draft, grant.Prefix + id + secret, nil
}

// CheckToken returns the token of a text. ErrTokenNotFound when there is none or
// its secret is wrong, ErrTokenExpired, ErrNoTokens, ErrUnavailable. With a wrong
// secret, and with ErrTokenExpired, the token is whose ID the text has.
func (k *Keyring) CheckToken(ctx context.Context, text string) (grant.Token, error) {
	tokenStore, err := k.store()
	if err != nil {
		return grant.Token{}, err
	}
	id, secret, err := parseTokenText(text)
	if err != nil {
		return grant.Token{}, err
	}
	token, want, err := tokenStore.FindToken(ctx, id)
	if err != nil {
		return grant.Token{}, err
	}
	if subtle.ConstantTimeCompare(secret[:], want[:]) != 1 {
		return token, fmt.Errorf("%w: wrong secret", store.ErrTokenNotFound)
	}
	now := k.now()
	if !token.Expires.IsZero() && !now.Before(token.Expires) {
		return token, store.ErrTokenExpired
	}
	k.uses.add(id, now)
	return token, nil
}

// Tokens returns all tokens, the oldest first. ErrNoTokens.
func (k *Keyring) Tokens(ctx context.Context) ([]grant.Token, error) {
	tokenStore, err := k.store()
	if err != nil {
		return nil, err
	}
	tokens, err := tokenStore.Tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	for i := range tokens {
		if at, used := k.uses.of(tokens[i].ID); used && at.After(tokens[i].LastUsed) {
			tokens[i].LastUsed = at.UTC()
		}
	}
	return tokens, nil
}

// RevokeToken forgets the token of an ID or a name and returns it. From then on
// nobody can use it. ErrTokenNotFound, ErrNoTokens, ErrUnavailable.
func (k *Keyring) RevokeToken(ctx context.Context, idOrName string) (grant.Token, error) {
	// No token has the ID of another one as its name: CreateToken sees to that.
	return k.revokeToken(ctx, func(t grant.Token) bool { return t.ID == idOrName || store.Fold(t.Name) == store.Fold(idOrName) })
}

// RevokeTokenNamed is RevokeToken for a name only.
func (k *Keyring) RevokeTokenNamed(ctx context.Context, name string) (grant.Token, error) {
	return k.revokeToken(ctx, func(t grant.Token) bool { return store.Fold(t.Name) == store.Fold(name) })
}

func (k *Keyring) revokeToken(ctx context.Context, isMeant func(grant.Token) bool) (grant.Token, error) {
	tokenStore, err := k.store()
	if err != nil {
		return grant.Token{}, err
	}
	tokens, err := tokenStore.Tokens(ctx)
	if err != nil {
		return grant.Token{}, fmt.Errorf("looking for the token: %w", err)
	}
	i := slices.IndexFunc(tokens, isMeant)
	if i < 0 {
		return grant.Token{}, store.ErrTokenNotFound
	}
	if err := tokenStore.DeleteToken(ctx, tokens[i].ID, store.Act{Time: k.now()}); err != nil {
		return grant.Token{}, fmt.Errorf("deleting token: %w", err)
	}
	return tokens[i], nil
}

// StoreUses stores the last uses that were gathered and returns how many tokens
// they are of. What cannot be stored is tried again with the next ones.
func (k *Keyring) StoreUses(ctx context.Context) (stored int, err error) {
	gathered := k.uses.gathered()
	if len(gathered) == 0 {
		return 0, nil
	}
	tokenStore, err := k.store()
	if err == nil {
		end := waiting.Attend(k.log, "storing the last uses of tokens")
		err = tokenStore.UseTokens(ctx, gathered)
		end()
	}
	if err != nil {
		return 0, fmt.Errorf("storing the last uses of tokens: %w", err)
	}
	k.uses.stored(gathered)
	return len(gathered), nil
}
