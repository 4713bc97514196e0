package grant

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Prefix begins every token, so that people and secret scanners know one
// when they see it.
const Prefix = "grt_"

const maxTokenName = 64

// Action is what a request does.
type Action string

// The actions that rules and scopes tell apart.
const (
	Read   Action = "read"
	Write  Action = "write"
	Delete Action = "delete"
)

// Token lets its bearer act as a user, within a scope, until it expires. The
// secret is not in it.
type Token struct {
	// ID is the public part of the token's text; it never changes.
	ID string
	// Name says what the token is for. No two tokens have the same, without case.
	Name string
	// User is whom the bearer acts as.
	User  string
	Scope Scope
	// Created is when it was made.
	Created time.Time
	// Expires is when it ends. Zero means never.
	Expires time.Time
	// LastUsed is when it was last used, as far as that is stored yet. Zero means
	// not known.
	LastUsed time.Time
}

// maxScope is far more than a person writes, and far less than a metadata store may
// refuse.
const maxScope = 32 << 10

// Scope is what a token may be used for: it takes away from what its user may do,
// and never adds. A token's scope has at most 32768 bytes of actions and patterns.
type Scope struct {
	// Actions that the token covers. Who may write or delete may read.
	Actions []Action
	// Owners and Packages select what it is for. Empty is all of them.
	Owners, Packages []naming.Pattern
}

func (s Scope) size() (bytes int) {
	for _, action := range s.Actions {
		bytes += len(action) + 1
	}
	for _, patterns := range [][]naming.Pattern{s.Owners, s.Packages} {
		for _, pattern := range patterns {
			bytes += len(pattern.String()) + 1
		}
	}
	return bytes
}

// Covers tells whether the scope has an action on an owner's package.
func (s Scope) Covers(what Action, owner, pkg string) bool {
	return s.has(what) && matchesAny(s.Owners, owner) && matchesAny(s.Packages, pkg)
}

func (s Scope) has(what Action) bool {
	return slices.Contains(s.Actions, what) || what == Read && len(s.Actions) > 0
}

func matchesAny(patterns []naming.Pattern, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p naming.Pattern) bool { return p.Matches(name) })
}

// Check reports what a new token cannot have. ErrInvalidToken.
func (t Token) Check(now time.Time) error {
	switch {
	case !isLabel(t.Name, maxTokenName):
		return fmt.Errorf("%w: the name must be 1 to %d bytes without control characters or white space at either end", store.ErrInvalidToken, maxTokenName)
	case strings.HasPrefix(store.Fold(t.Name), Prefix):
		return fmt.Errorf("%w: the name must not begin with %s as tokens do: names are stored and shown", store.ErrInvalidToken, Prefix)
	case !isLabel(t.User, naming.MaxLength):
		return fmt.Errorf("%w: the user must be 1 to %d bytes without control characters or white space at either end", store.ErrInvalidToken, naming.MaxLength)
	case t.Name == "." || t.Name == "..":
		return fmt.Errorf("%w: %q cannot be a name: in a path it means a folder", store.ErrInvalidToken, t.Name)
	case store.FoldsIntoASCII(t.User):
		return fmt.Errorf("%w: a letter of the user looks like an ASCII letter, and would be taken for it", store.ErrInvalidToken)
	case len(t.Scope.Actions) == 0:
		return fmt.Errorf("%w: the scope has no action: %s, %s or %s", store.ErrInvalidToken, Read, Write, Delete)
	case t.Scope.size() > maxScope:
		return fmt.Errorf("%w: the scope may have at most %d bytes of actions and patterns: make several tokens, or wider patterns", store.ErrInvalidToken, maxScope)
	case !t.Expires.IsZero() && !t.Expires.After(now):
		return fmt.Errorf("%w: it would have expired already", store.ErrInvalidToken)
	}
	for _, action := range t.Scope.Actions {
		if action != Read && action != Write && action != Delete {
			return fmt.Errorf("%w: unknown action %q: use one of %s, %s, %s", store.ErrInvalidToken, action, Read, Write, Delete)
		}
	}
	return t.Scope.checkPatterns()
}

// checkPatterns reports a pattern that no name could match.
func (s Scope) checkPatterns() error {
	for _, pattern := range s.Owners {
		if text := pattern.String(); text != strings.TrimSpace(text) {
			return fmt.Errorf("%w: the owner %q has white space at an end, which no owner has", store.ErrInvalidToken, text)
		}
	}
	for _, pattern := range s.Packages {
		if text := pattern.String(); strings.ContainsFunc(text, func(c rune) bool { return unicode.IsSpace(c) || c == ',' || c == '/' }) {
			return fmt.Errorf("%w: no package can match %q: names of packages have letters, digits and .-+_", store.ErrInvalidToken, text)
		}
	}
	return nil
}

func isLabel(text string, longest int) bool {
	return text != "" && len(text) <= longest && strings.TrimSpace(text) == text && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// Store is implemented by a MetadataStore that can keep tokens. All methods
// may run concurrently; mutations are as durable as the MetadataStore's, except
// UseTokens.
type Store interface {
	// AddToken keeps a token with the digest of its secret. ErrTokenExists when its
	// ID or its name, folded, is in use; ErrUnavailable.
	AddToken(ctx context.Context, token Token, secret store.Digest) error

	// FindToken returns a token with the digest of its secret. ErrTokenNotFound.
	FindToken(ctx context.Context, id string) (Token, store.Digest, error)

	// Tokens returns all tokens, the oldest first.
	Tokens(ctx context.Context) ([]Token, error)

	// DeleteToken forgets a token. ErrTokenNotFound, ErrNoSpace, ErrUnavailable.
	DeleteToken(ctx context.Context, id string, act store.Act) error

	// UseTokens records when tokens, by ID, were last used. It may be lost in a
	// crash. IDs that are not known are ignored.
	UseTokens(ctx context.Context, uses map[string]time.Time) error
}
