package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func init() { caddy.RegisterModule(Admin{}) }

// Paths of the admin endpoint.
const (
	adminPath  = "/generic_registry"
	tokensPath = "/tokens"
	healthPath = "/health"
)

// Admin adds the registries to Caddy's admin endpoint: tokens are made, listed and
// revoked at `/generic_registry/tokens`, `/generic_registry/health` says how each
// registry is, `/generic_registry/backup` gives a backup, and
// `/generic_registry/verify` checks what is stored, and `/generic_registry/sweep` deletes
// bytes that no file refers to. With several registries open, the
// query parameter `root` says which one is meant.
//
// Whoever reaches the admin endpoint can make tokens for any user, as they could
// load a configuration that lets anyone in: keep it on localhost, or on a unix
// socket that only administrators may open.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.generic_registry", New: func() caddy.Module { return new(Admin) }}
}

// Routes implements caddy.AdminRouter.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: adminPath + tokensPath, Handler: answered(serveTokens)},
		{Pattern: adminPath + backupPath, Handler: answered(serveBackup)},
		{Pattern: adminPath + verifyPath, Handler: answered(serveVerify)},
		{Pattern: adminPath + sweepPath, Handler: answered(serveSweep)},
		{Pattern: adminPath + healthPath, Handler: answered(serveHealth)},
	}
}

// tokenJSON is a token as the admin endpoint reads and shows it.
type tokenJSON struct {
	ID       string     `json:"id,omitempty"`
	Name     string     `json:"name"`
	User     string     `json:"user"`
	Actions  []string   `json:"actions"`
	Owners   []string   `json:"owners,omitempty"`
	Packages []string   `json:"packages,omitempty"`
	Created  *time.Time `json:"created,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	// Text is the token itself, shown when it is made and never again.
	Text string `json:"token,omitempty"`
	// Notice says what keeps the token from being of use, when it is made.
	Notice string `json:"notice,omitempty"`
}

func tokenToJSON(token store.Token, text string) tokenJSON {
	shown := tokenJSON{
		ID: token.ID, Name: token.Name, User: token.User, Text: text,
		Owners: store.PatternTexts(token.Scope.Owners), Packages: store.PatternTexts(token.Scope.Packages),
		Created: orNil(token.Created), Expires: orNil(token.Expires), LastUsed: orNil(token.LastUsed),
	}
	for _, action := range token.Scope.Actions {
		shown.Actions = append(shown.Actions, string(action))
	}
	return shown
}

func orNil(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// draft is what a client asks for; ID and times but the expiry are not its to say.
func (t tokenJSON) draft() (draft store.Token, err error) {
	draft.Name, draft.User = t.Name, t.User
	for _, action := range t.Actions {
		draft.Scope.Actions = append(draft.Scope.Actions, store.Action(action))
	}
	if draft.Scope.Owners, err = store.ParsePatterns(t.Owners); err != nil {
		return draft, fmt.Errorf("owners: %w", err)
	}
	if draft.Scope.Packages, err = store.ParsePatterns(t.Packages); err != nil {
		return draft, fmt.Errorf("packages: %w", err)
	}
	if t.Expires != nil {
		draft.Expires = t.Expires.UTC()
	}
	return draft, nil
}

// maxAdminRequest bounds a request, and the text of a refusal.
const maxAdminRequest = 1 << 20

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
	return adminError(http.StatusMethodNotAllowed, errMethod)
}

func listTokens(w http.ResponseWriter, r *http.Request, reg pool.Opened) error {
	tokens, err := reg.Tokens(r.Context())
	if err != nil {
		return storeError(err)
	}
	shown := make([]tokenJSON, 0, len(tokens))
	for _, token := range tokens {
		shown = append(shown, tokenToJSON(token, ""))
	}
	return answerJSON(w, shown)
}

func createToken(w http.ResponseWriter, r *http.Request, reg pool.Opened) error {
	var asked tokenJSON
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return adminError(http.StatusBadRequest, fmt.Errorf("reading the token: %w", err))
	}
	draft, err := asked.draft()
	if err != nil {
		return adminError(http.StatusBadRequest, err)
	}
	token, text, err := reg.CreateToken(r.Context(), draft)
	if err != nil {
		return storeError(err)
	}
	auditToken(r, reg, "token_create", token)
	made := tokenToJSON(token, text)
	if !reg.TakesTokens {
		made.Notice = fmt.Sprintf("no site of the configuration takes tokens of this registry: write `generic_registry_auth { root %s }` into the site, in place of `basic_auth`", reg.Root)
	}
	return answerJSON(w, made)
}

// auditToken logs that somebody made or revoked a token through the admin endpoint.
func auditToken(r *http.Request, reg pool.Opened, action string, token store.Token) {
	reg.Audit.Info("changed",
		zap.String("action", action), zap.String("result", "ok"), zap.Int("status", http.StatusOK),
		zap.String("user", token.User), zap.String("token", token.Name), zap.String("token_id", token.ID),
		zap.String("root", reg.Root), zap.String("remote_addr", r.RemoteAddr))
}

// Query parameters of revoking a token: one of them.
const (
	parameterToken = "token" // an ID or a name
	parameterName  = "name"
)

func revokeToken(w http.ResponseWriter, r *http.Request, reg pool.Opened) error {
	revoke, which := reg.RevokeToken, r.URL.Query().Get(parameterToken)
	if name := r.URL.Query().Get(parameterName); name != "" {
		if which != "" {
			return adminError(http.StatusBadRequest, fmt.Errorf("name the token by %s or by %s, not by both", parameterToken, parameterName))
		}
		revoke, which = reg.RevokeTokenNamed, name
	}
	if which == "" {
		return adminError(http.StatusBadRequest, fmt.Errorf("name the token by %s or by %s", parameterToken, parameterName))
	}
	token, err := revoke(r.Context(), which)
	if err != nil {
		return storeError(err)
	}
	auditToken(r, reg, "token_revoke", token)
	return answerJSON(w, tokenToJSON(token, ""))
}

// withRegistry runs what a request asks on the open registry that it means.
func withRegistry(r *http.Request, do func(pool.Opened) error) error {
	err := pool.Registries.UseRoot(r.Context(), r.URL.Query().Get("root"), do)
	var closed *pool.NotOpen
	switch {
	case errors.Is(err, pool.ErrNoRegistry):
		return adminError(http.StatusNotFound, err)
	case errors.As(err, &closed):
		return adminError(http.StatusServiceUnavailable, err)
	}
	return err
}

func storeError(err error) error {
	for _, known := range []struct {
		err    error
		status int
		code   string
	}{
		{store.ErrInvalidToken, http.StatusBadRequest, "invalid_token"},
		{store.ErrTokenExists, http.StatusConflict, "token_exists"},
		{store.ErrTokenNotFound, http.StatusNotFound, "token_not_found"},
		{store.ErrNoTokens, http.StatusNotImplemented, "no_tokens"},
		{store.ErrNoJournal, http.StatusNotImplemented, "no_journal"},
		{store.ErrNotContinued, http.StatusConflict, codeNotContinued},
		{store.ErrUnavailable, http.StatusServiceUnavailable, "unavailable"},
	} {
		if errors.Is(err, known.err) {
			return &adminRefusal{known.status, answeredError{Text: err.Error(), Code: known.code}}
		}
	}
	return adminError(http.StatusInternalServerError, err)
}

// codeNotContinued is the code of store.ErrNotContinued.
const codeNotContinued = "not_continued"

// adminRefusal is an error that the admin endpoint answers.
type adminRefusal struct {
	status int
	answeredError
}

// errMethod: the endpoint has another method.
var errMethod = errors.New("method not allowed")

func adminError(status int, err error) error {
	return &adminRefusal{status, answeredError{Text: err.Error()}}
}

// answered answers with what a handler refuses: JSON with a text for people and, where a
// program may want to know, a code.
func answered(serve func(http.ResponseWriter, *http.Request) error) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		err := serve(w, r)
		var refused *adminRefusal
		if !errors.As(err, &refused) {
			return err
		}
		log := caddy.Log().Named(string(Admin{}.CaddyModule().ID))
		log.Warn("refused", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", refused.status), zap.String("error", refused.Text))
		w.Header().Set("Content-Type", jsonType)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(refused.status)
		return json.NewEncoder(w).Encode(refused.answeredError)
	})
}

func answerJSON(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(value)
}

var _ caddy.AdminRouter = Admin{}
