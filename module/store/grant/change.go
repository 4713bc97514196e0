package grant

import (
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// CreateChange is what a journal says of a new token.
func CreateChange(token Token, secret store.Digest) store.Change {
	made := &store.TokenChange{
		ID: token.ID, Name: token.Name, User: token.User,
		Owners: naming.Texts(token.Scope.Owners), Packages: naming.Texts(token.Scope.Packages),
		Created: store.TimeOrNil(token.Created), Expires: store.TimeOrNil(token.Expires), Secret: secret.String(),
	}
	for _, action := range token.Scope.Actions {
		made.Actions = append(made.Actions, string(action))
	}
	return store.Change{Time: token.Created, Operation: store.OperationCreateToken, Token: made}
}

// RevokeChange is what a journal says of a revoked token.
func RevokeChange(id string, act store.Act) store.Change {
	return store.Change{Time: act.Time, Operation: store.OperationRevokeToken, User: act.User, Token: &store.TokenChange{ID: id}}
}

// ParseChange returns the token of a journal's change, and the digest of its secret.
func ParseChange(t *store.TokenChange) (token Token, secret store.Digest, err error) {
	if t == nil {
		return token, secret, errors.New("no token")
	}
	token = Token{ID: t.ID, Name: t.Name, User: t.User}
	for _, action := range t.Actions {
		token.Scope.Actions = append(token.Scope.Actions, Action(action))
	}
	if token.Scope.Owners, err = naming.ParsePatterns(t.Owners); err != nil {
		return token, secret, fmt.Errorf("owners: %w", err)
	}
	if token.Scope.Packages, err = naming.ParsePatterns(t.Packages); err != nil {
		return token, secret, fmt.Errorf("packages: %w", err)
	}
	if t.Created != nil {
		token.Created = t.Created.UTC()
	}
	if t.Expires != nil {
		token.Expires = t.Expires.UTC()
	}
	secret, err = store.ParseDigest(t.Secret)
	return token, secret, err
}
