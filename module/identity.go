package module

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// userPlaceholder is set by Caddy's authentication handler. Its value is the
// user; nothing is expanded, because an unset placeholder would expand to itself.
const userPlaceholder = "http.auth.user.id"

// Claim is a placeholder that says something of a request's user.
type Claim struct {
	// The placeholder, with its braces and nothing around them, such as
	// `{http.request.tls.client.subject}`. Required.
	Placeholder string `json:"placeholder"`

	// Set it for a placeholder that reads what the client itself sends, such as
	// `{http.request.header.Remote-User}`: a client could send it too and be
	// whoever it likes. It is safe only where something in front, such as
	// forward_auth, replaces or removes the header in every request. Without it
	// such a placeholder is refused. Default: false.
	Trusted bool `json:"trusted,omitempty"`
}

// identity is who makes a request.
type identity struct {
	user  string          // empty: anonymous
	token *registry.Token // nil when it was not a token that authenticated the user
	fault error           // why the token could not be looked up

	replacer *caddy.Replacer
	claim    string // key of the placeholder that has the groups, or empty
	found    []string
	searched bool
}

// groups returns the user's groups, which are looked for when a rule first asks.
func (i *identity) groups() []string {
	if !i.searched && i.replacer != nil && i.claim != "" {
		value, _ := i.replacer.Get(i.claim)
		i.found, i.searched = splitGroups(value), true
	}
	return i.found
}

// splitGroups reads a list of groups: a list, or a text in which commas or white
// space stand between them. A backslash keeps the character after it, as in the
// distinguished names of certificates (RFC 4514 section 2.4).
func splitGroups(value any) (groups []string) {
	switch list := value.(type) {
	case []string:
		return list
	case []any:
		for _, element := range list {
			groups = append(groups, fmt.Sprint(element))
		}
		return groups
	case string:
		escaped := false
		return strings.FieldsFunc(list, func(r rune) bool {
			if escaped {
				escaped = false
				return false
			}
			escaped = r == '\\'
			return r == ',' || unicode.IsSpace(r)
		})
	}
	return nil
}

// identify finds out who makes a request: the user of an authentication handler,
// else the one of the handler's own placeholder.
func (h *Handler) identify(r *http.Request) *identity {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return new(identity)
	}
	who := &identity{replacer: replacer, claim: h.groupsKey}
	who.user, _ = replacer.GetString(userPlaceholder)
	if who.user == "" && h.userKey != "" {
		who.user, _ = replacer.GetString(h.userKey)
	}
	if !canBeUser(who.user) {
		who.user = ""
	}
	switch found := caddyhttp.GetVar(r.Context(), tokenVariable).(type) {
	case *registry.Token:
		who.token = found
	case error:
		who.fault = found
	}
	return who
}

// canBeUser tells whether a name can be kept with what its bearer publishes.
func canBeUser(name string) bool {
	return len(name) <= registry.MaxNameLength && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// CheckClaim returns the key of a claim's placeholder, or what is wrong with it.
func CheckClaim(c Claim) (key string, err error) {
	inner, opened := strings.CutPrefix(c.Placeholder, "{")
	key, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || key == "" || strings.ContainsAny(key, "{}") {
		return "", fmt.Errorf("%q is not one placeholder, such as {http.auth.user.id}", c.Placeholder)
	}
	if fromClient(key) && !c.Trusted {
		return "", fmt.Errorf("%s is what the client sends, which could be anything: write \"trusted %s\" if something in front replaces it in every request",
			c.Placeholder, c.Placeholder)
	}
	return key, nil
}

// fromClient tells whether a placeholder's value is the client's choice: all of
// the request but its certificate, which Caddy has verified.
func fromClient(key string) bool {
	return strings.HasPrefix(key, "http.request.") && !strings.HasPrefix(key, "http.request.tls.client.")
}
