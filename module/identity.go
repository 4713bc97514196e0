package module

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// userPlaceholder is set by Caddy's authentication handler. Its value is the
// user; nothing is expanded, because an unset placeholder would expand to itself.
const userPlaceholder = authPlaceholders + "id"

// authPlaceholders begins the placeholders of a user that an authentication handler let in.
const authPlaceholders = "http.auth.user."

// certificatePlaceholders begins the placeholders of what a client's certificate says.
const certificatePlaceholders = "http.request.tls.client."

// Claim is a placeholder that says something of a request's user.
type Claim struct {
	// The placeholder, with its braces and nothing around them, such as
	// `{http.request.tls.client.subject}`. Required. Placeholders of
	// `{http.auth.user.*}` always count. Placeholders of `{http.request.tls.client.*}`
	// count when Caddy has verified the certificate, which only some modes of
	// `client_auth` do.
	Placeholder string `json:"placeholder"`

	// Set it for any other placeholder, such as `{http.request.header.Remote-User}`
	// or `{http.vars.user}`: it can hold what the client sent, so the client could be
	// any user. It is safe only where something in front, such as forward_auth,
	// decides the value in every request. Without it such a placeholder is refused.
	// Default: false.
	Trusted bool `json:"trusted,omitempty"`
}

// identity is who makes a request.
type identity struct {
	user  string       // empty: anonymous
	token *store.Token // nil when it was not a token that authenticated the user
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
		i.found, i.searched = splitGroups(value, strings.HasPrefix(i.claim, authPlaceholders)), true
	}
	return i.found
}

// splitGroups reads a list of groups: a list, or a text in which commas stand between
// them. A text without a comma is one group, because names of groups have spaces;
// only an authentication handler's own text, of which some write white space between
// roles, is split there then. A backslash keeps the character after it, as in the
// distinguished names of certificates (RFC 4514 section 2.4). A group that would be
// taken for another one is left out.
func splitGroups(value any, spaced bool) (groups []string) {
	switch list := value.(type) {
	case []string:
		groups = slices.Clone(list)
	case []any:
		for _, element := range list {
			groups = append(groups, fmt.Sprint(element))
		}
	case string:
		separated := false
		groups = fieldsOf(list, func(r rune) bool {
			separated = separated || r == ','
			return r == ','
		})
		if spaced && !separated {
			groups = fieldsOf(list, unicode.IsSpace)
		}
	}
	return slices.DeleteFunc(groups, store.FoldsIntoASCII)
}

// fieldsOf splits a text where a separator is not escaped, and drops white space
// around the parts, and parts of nothing else.
func fieldsOf(text string, separates func(rune) bool) (fields []string) {
	escaped := false
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool {
		if escaped {
			escaped = false
			return false
		}
		escaped = r == '\\'
		return separates(r)
	}) {
		if field = strings.TrimSpace(field); field != "" {
			fields = append(fields, field)
		}
	}
	return fields
}

// identify finds out who makes a request: the bearer of a token, else the user of an
// authentication handler, else the one of the handler's own placeholder.
func (h *Handler) identify(r *http.Request) *identity {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return new(identity)
	}
	who := &identity{replacer: replacer}
	if counts(r, h.groupsKey) {
		who.claim = h.groupsKey
	}
	switch found := caddyhttp.GetVar(r.Context(), tokenVariable).(type) {
	case *store.Token:
		who.token = found
		// Only here: outside of the registry a token is nobody.
		replacer.Set(userPlaceholder, found.User)
	case error:
		who.fault = found
	}
	who.user, _ = replacer.GetString(userPlaceholder)
	if who.user == "" && counts(r, h.userKey) {
		who.user, _ = replacer.GetString(h.userKey)
	}
	if !canBeUser(who.user) {
		who.user = ""
	}
	if store.FoldsIntoASCII(who.user) {
		h.log.Warn("the user counts as anonymous: a letter of the name looks like an ASCII letter, and would be taken for it", zap.String("user", who.user))
		who.user = ""
	}
	return who
}

// counts tells whether a placeholder can be asked in a request: what a certificate
// says counts when it was verified. Caddy fills the placeholders for any
// certificate, and with the modes `request` and `require` it verifies none.
func counts(r *http.Request, key string) bool {
	if !strings.HasPrefix(key, certificatePlaceholders) {
		return key != ""
	}
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}

// canBeUser tells whether a name can be kept with what its bearer publishes.
func canBeUser(name string) bool {
	return len(name) <= store.MaxNameLength && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// CheckClaim returns the key of a claim's placeholder, or what is wrong with it.
func CheckClaim(c Claim) (key string, err error) {
	inner, opened := strings.CutPrefix(c.Placeholder, "{")
	key, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || key == "" || strings.ContainsAny(key, "{}") {
		return "", fmt.Errorf("%q is not one placeholder, such as {http.auth.user.id}", c.Placeholder)
	}
	if !isVerified(key) && !c.Trusted {
		return "", fmt.Errorf("%s can hold what the client sends, which could be anything: write \"trusted %s\" if something in front decides it in every request",
			c.Placeholder, c.Placeholder)
	}
	return key, nil
}

// isVerified tells whether Caddy fills a placeholder with what it has verified. All
// others could be the client's choice: headers, and variables, matches of
// expressions and maps that have it from there.
func isVerified(key string) bool {
	return strings.HasPrefix(key, authPlaceholders) || strings.HasPrefix(key, certificatePlaceholders)
}
