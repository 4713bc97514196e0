package access

import (
	"fmt"
	"strings"
)

const (
	// UserPlaceholder is set by Caddy's authentication handler. Its value is the
	// user; nothing is expanded, because an unset placeholder would expand to itself.
	UserPlaceholder = authPlaceholders + "id"

	// authPlaceholders begins the placeholders of a user that an authentication handler let in.
	authPlaceholders = "http.auth.user."

	// certificatePlaceholders begins the placeholders of what a client's certificate says.
	certificatePlaceholders = "http.request.tls.client."
)

// Claim is a placeholder that contains the user of a request, or the groups of the user.
type Claim struct {
	// The placeholder, with its braces and nothing around them, such as
	// `{http.request.tls.client.subject}`. Required. Placeholders of
	// `{http.auth.user.*}` always count. Placeholders of `{http.request.tls.client.*}`
	// count when Caddy has verified the certificate, which only some modes of
	// `client_auth` do.
	Placeholder string `json:"placeholder"`

	// Whether something in front, such as forward_auth, decides the value of the placeholder
	// in every request. Any other placeholder, such as `{http.request.header.Remote-User}`
	// or `{http.vars.user}`, is refused without this setting: it can contain what the client
	// sent, so the client could be any user. Default: false.
	Trusted bool `json:"trusted,omitempty"`
}

// CheckClaim returns the key of a claim's placeholder, or what is wrong with it.
func CheckClaim(c Claim) (key string, err error) {
	inner, opened := strings.CutPrefix(c.Placeholder, "{")
	key, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || key == "" || strings.ContainsAny(key, "{}") {
		return "", fmt.Errorf("%q is not one placeholder, such as {http.auth.user.id}", c.Placeholder)
	}
	if !isVerified(key) && !c.Trusted {
		return "", fmt.Errorf("%s can contain anything that the client sends: write \"trusted %s\" if something in front decides its value in every request",
			c.Placeholder, c.Placeholder)
	}
	return key, nil
}

// isVerified tells whether Caddy fills a placeholder with what Caddy has verified. The
// client can choose the value of all others: headers, and variables, matches of expressions
// and maps that depend on headers.
func isVerified(key string) bool { return isOfAuthentication(key) || IsOfCertificate(key) }

// isOfAuthentication tells whether a placeholder, by its key, is one that an
// authentication handler sets.
func isOfAuthentication(key string) bool { return strings.HasPrefix(key, authPlaceholders) }

// IsOfCertificate tells whether a placeholder, by its key, is what a client's certificate
// says. Caddy fills these for any certificate, and with the modes `request` and `require`
// of `client_auth` it verifies none.
func IsOfCertificate(key string) bool { return strings.HasPrefix(key, certificatePlaceholders) }
