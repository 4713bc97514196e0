package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// A token's text is the prefix, its ID and its secret.
const (
	tokenIDLength     = 10
	tokenSecretLength = 26 // 130 bits
)

// newTokenText returns the parts of a fresh token.
func newTokenText() (id, secret string) {
	return strings.ToLower(rand.Text()[:tokenIDLength]), strings.ToLower(rand.Text()[:tokenSecretLength])
}

// parseTokenText takes a token's text apart. ErrTokenNotFound when it cannot be
// one.
func parseTokenText(text string) (id string, secret store.Digest, err error) {
	rest, found := strings.CutPrefix(text, grant.Prefix)
	if !found || len(rest) != tokenIDLength+tokenSecretLength {
		return "", secret, fmt.Errorf("%w: malformed", store.ErrTokenNotFound)
	}
	return rest[:tokenIDLength], digestOfSecret(rest[tokenIDLength:]), nil
}

// digestOfSecret needs no salt and no slow hash: secrets are random and long.
func digestOfSecret(secret string) store.Digest { return sha256.Sum256([]byte(secret)) }
