package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Token is a token as the admin endpoint reads and shows it.
type Token struct {
	ID       string    `json:"id,omitempty"`
	Name     string    `json:"name"`
	User     string    `json:"user"`
	Actions  []string  `json:"actions"`
	Owners   []string  `json:"owners,omitempty"`
	Packages []string  `json:"packages,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
	// Text is the token itself, shown when it is made and never again.
	Text string `json:"token,omitempty"`
	// Notice says what keeps the token from being of use, when it is made.
	Notice string `json:"notice,omitempty"`
}

func showToken(token grant.Token, text string) Token {
	shown := Token{
		ID: token.ID, Name: token.Name, User: token.User, Text: text,
		Owners: naming.Texts(token.Scope.Owners), Packages: naming.Texts(token.Scope.Packages),
		Created: token.Created, Expires: token.Expires, LastUsed: token.LastUsed,
	}
	for _, action := range token.Scope.Actions {
		shown.Actions = append(shown.Actions, string(action))
	}
	return shown
}

// draft is what a client asks for; ID and times but the expiry are not its to say.
func (t Token) draft() (draft grant.Token, err error) {
	draft.Name, draft.User = t.Name, t.User
	for _, action := range t.Actions {
		draft.Scope.Actions = append(draft.Scope.Actions, grant.Action(action))
	}
	if draft.Scope.Owners, err = naming.ParsePatterns(t.Owners); err != nil {
		return draft, fmt.Errorf("owners: %w", err)
	}
	if draft.Scope.Packages, err = naming.ParsePatterns(t.Packages); err != nil {
		return draft, fmt.Errorf("packages: %w", err)
	}
	draft.Expires = t.Expires.UTC()
	return draft, nil
}

// serveTokens makes, lists and revokes tokens. A token to revoke is named by the query
// and not by the path, in which some names would be other paths.
func serveTokens(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		return withRegistry(r, func(reg pool.Opened) error { return listTokens(w, r, reg) })
	case http.MethodPost:
		return withRegistry(r, func(reg pool.Opened) error { return createToken(w, r, reg) })
	case http.MethodDelete:
		return withRegistry(r, func(reg pool.Opened) error { return revokeToken(w, r, reg) })
	}
	return refuse(http.StatusMethodNotAllowed, errMethod)
}

func listTokens(w http.ResponseWriter, r *http.Request, reg pool.Opened) error {
	tokens, err := reg.Tokens(r.Context())
	if err != nil {
		return storeError(err)
	}
	shown := make([]Token, 0, len(tokens))
	for _, token := range tokens {
		shown = append(shown, showToken(token, ""))
	}
	return answerJSON(w, shown)
}

func createToken(w http.ResponseWriter, r *http.Request, reg pool.Opened) error {
	var asked Token
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return refuse(http.StatusBadRequest, fmt.Errorf("reading the token: %w", err))
	}
	draft, err := asked.draft()
	if err != nil {
		return refuse(http.StatusBadRequest, err)
	}
	token, text, err := reg.CreateToken(r.Context(), draft)
	if err != nil {
		return storeError(err)
	}
	auditToken(r, reg, "token_create", token)
	made := showToken(token, text)
	if !reg.TakesTokens {
		made.Notice = fmt.Sprintf("no site of the configuration takes tokens of this registry: write `generic_registry_auth { root %s }` into the site, in place of `basic_auth`", reg.Root)
	}
	return answerJSON(w, made)
}

// Query parameters of revoking a token: one of them.
const (
	ParameterToken = "token" // an ID or a name
	ParameterName  = "name"
)

func revokeToken(w http.ResponseWriter, r *http.Request, reg pool.Opened) error {
	revoke, which := reg.RevokeToken, r.URL.Query().Get(ParameterToken)
	if name := r.URL.Query().Get(ParameterName); name != "" {
		if which != "" {
			return refuse(http.StatusBadRequest, fmt.Errorf("name the token by %s or by %s, not by both", ParameterToken, ParameterName))
		}
		revoke, which = reg.RevokeTokenNamed, name
	}
	if which == "" {
		return refuse(http.StatusBadRequest, fmt.Errorf("name the token by %s or by %s", ParameterToken, ParameterName))
	}
	token, err := revoke(r.Context(), which)
	if err != nil {
		return storeError(err)
	}
	auditToken(r, reg, "token_revoke", token)
	return answerJSON(w, showToken(token, ""))
}

// auditToken logs that somebody made or revoked a token through the admin endpoint.
func auditToken(r *http.Request, reg pool.Opened, action string, token grant.Token) {
	reg.Audit.Info("changed",
		zap.String("action", action), zap.String("result", "ok"), zap.Int("status", http.StatusOK),
		zap.String("user", token.User), zap.String("token", token.Name), zap.String("token_id", token.ID),
		zap.String("root", reg.Root), zap.String("remote_addr", r.RemoteAddr))
}
