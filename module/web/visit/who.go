package visit

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// credentialsVariable is the request variable in which an authenticator leaves what it found
// for the registry. It holds neither a token's text nor its digest.
const credentialsVariable = "generic_registry.credentials"

// credentials are what an authenticator leaves in a request.
type credentials struct {
	registry pool.Key // whose they are; zero: every registry's
	token    *grant.Token
	fault    error
	named    bool // the registry has named the token's user to the rest of the request
}

// SetToken leaves the token of a registry that a request presents, for whichever registry
// answers the request. In another registry the token is nobody.
func SetToken(r *http.Request, registry pool.Key, token *grant.Token) {
	caddyhttp.SetVar(r.Context(), credentialsVariable, &credentials{registry: registry, token: token})
}

// SetFault leaves why the credentials of a request cannot be checked now: the registry
// answers the request 503. The zero registry is every one, for a password.
func SetFault(r *http.Request, registry pool.Key, fault error) {
	caddyhttp.SetVar(r.Context(), credentialsVariable, &credentials{registry: registry, fault: fault})
}

// Token returns the token of a registry that was left for a request, or why its credentials
// cannot be checked, or neither.
func Token(r *http.Request, registry pool.Key) (token *grant.Token, fault error) {
	if left := leftIn(r); left.isOf(registry) {
		return left.token, left.fault
	}
	return nil, nil
}

// leftIn returns what an authenticator has left in a request.
func leftIn(r *http.Request) *credentials {
	if left, ok := caddyhttp.GetVar(r.Context(), credentialsVariable).(*credentials); ok {
		return left
	}
	return new(credentials)
}

func (c *credentials) isOf(registry pool.Key) bool {
	return c.registry == registry || c.registry == (pool.Key{})
}

// identity is who makes a request.
type identity struct {
	user  string       // empty: anonymous
	token *grant.Token // nil when it was not a token that authenticated the user
	fault error        // why the credentials could not be checked

	replacer *caddy.Replacer
	claim    string // key of the placeholder that has the groups, or empty
	found    []string
	searched bool
}

// Name implements access.Subject.
func (i *identity) Name() string { return i.user }

// Groups returns the user's groups, which are looked for when a rule first asks.
func (i *identity) Groups() []string {
	if !i.searched && i.replacer != nil && i.claim != "" {
		value, _ := i.replacer.Get(i.claim)
		i.found, i.searched = access.GroupsOf(i.claim, value), true
	}
	return i.found
}

// identify finds out who makes a request: the bearer of a token of this registry, else the user of an
// authentication handler, else the one of the site's own placeholder.
func (s *Site) identify(r *http.Request) *identity {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return new(identity)
	}
	who := &identity{replacer: replacer}
	if counts(r, s.GroupsKey) {
		who.claim = s.GroupsKey
	}
	left := leftIn(r)
	if who.token, who.fault = Token(r, s.Registry); who.token != nil {
		// Only here: outside of the registry a token is nobody.
		replacer.Set(access.UserPlaceholder, who.token.User)
		left.named = true
	}
	who.user, _ = replacer.GetString(access.UserPlaceholder)
	if left.named && who.token == nil && who.user == left.token.User {
		// Another registry has named the bearer: its errors are worded by a route to this one.
		who.user = ""
	}
	if who.user == "" && counts(r, s.UserKey) {
		who.user, _ = replacer.GetString(s.UserKey)
	}
	if !canBeUser(who.user) {
		who.user = ""
	}
	if store.FoldsIntoASCII(who.user) {
		s.Log.Warn("the user is anonymous: a letter of the name is not ASCII, but becomes an ASCII letter when case is ignored", zap.String("user", who.user))
		who.user = ""
	}
	return who
}

// counts tells whether a placeholder can be asked in a request: what a certificate
// says counts when it was verified.
func counts(r *http.Request, key string) bool {
	if !access.IsOfCertificate(key) {
		return key != ""
	}
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}

// canBeUser tells whether a name can be kept with what its bearer publishes.
func canBeUser(name string) bool {
	return len(name) <= naming.MaxLength && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}
