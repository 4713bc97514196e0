package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func init() { caddy.RegisterModule(Admin{}) }

// Paths of the admin endpoint.
const (
	adminPath  = "/generic_registry"
	tokensPath = "/tokens"
	healthPath = "/health"
)

// Admin adds the registries to Caddy's admin endpoint: tokens are made, listed and
// revoked under `/generic_registry/tokens`, `/generic_registry/health` says how each
// registry is, `/generic_registry/backup` gives a backup, and
// `/generic_registry/verify` checks what is stored. With several registries open, the
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
		{Pattern: adminPath + tokensPath, Handler: caddy.AdminHandlerFunc(serveTokens)},
		{Pattern: adminPath + tokensPath + "/", Handler: caddy.AdminHandlerFunc(serveToken)},
		{Pattern: adminPath + backupPath, Handler: caddy.AdminHandlerFunc(serveBackup)},
		{Pattern: adminPath + verifyPath, Handler: caddy.AdminHandlerFunc(serveVerify)},
		{Pattern: adminPath + healthPath, Handler: caddy.AdminHandlerFunc(serveHealth)},
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
}

func tokenToJSON(token registry.Token, text string) tokenJSON {
	shown := tokenJSON{
		ID: token.ID, Name: token.Name, User: token.User, Text: text,
		Owners: registry.PatternTexts(token.Scope.Owners), Packages: registry.PatternTexts(token.Scope.Packages),
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
func (t tokenJSON) draft() (draft registry.Token, err error) {
	draft.Name, draft.User = t.Name, t.User
	for _, action := range t.Actions {
		draft.Scope.Actions = append(draft.Scope.Actions, registry.Action(action))
	}
	if draft.Scope.Owners, err = registry.ParsePatterns(t.Owners); err != nil {
		return draft, fmt.Errorf("owners: %w", err)
	}
	if draft.Scope.Packages, err = registry.ParsePatterns(t.Packages); err != nil {
		return draft, fmt.Errorf("packages: %w", err)
	}
	if t.Expires != nil {
		draft.Expires = t.Expires.UTC()
	}
	return draft, nil
}

const maxAdminRequest = 1 << 20

func serveTokens(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return adminError(http.StatusMethodNotAllowed, errMethod)
	}
	return withRegistry(r, func(store *registry.Registry) error {
		if r.Method == http.MethodGet {
			return listTokens(w, r, store)
		}
		return createToken(w, r, store)
	})
}

func listTokens(w http.ResponseWriter, r *http.Request, store *registry.Registry) error {
	tokens, err := store.Tokens(r.Context())
	if err != nil {
		return storeError(err)
	}
	shown := make([]tokenJSON, 0, len(tokens))
	for _, token := range tokens {
		shown = append(shown, tokenToJSON(token, ""))
	}
	return answerJSON(w, shown)
}

func createToken(w http.ResponseWriter, r *http.Request, store *registry.Registry) error {
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
	token, text, err := store.CreateToken(r.Context(), draft)
	if err != nil {
		return storeError(err)
	}
	return answerJSON(w, tokenToJSON(token, text))
}

// serveToken revokes a token by its ID or name.
func serveToken(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodDelete {
		return adminError(http.StatusMethodNotAllowed, errMethod)
	}
	name, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), adminPath+tokensPath+"/"))
	if err != nil {
		return adminError(http.StatusBadRequest, err)
	}
	return withRegistry(r, func(store *registry.Registry) error {
		token, err := store.RevokeToken(r.Context(), name)
		if err != nil {
			return storeError(err)
		}
		return answerJSON(w, tokenToJSON(token, ""))
	})
}

// withRegistry runs what a request asks on the open registry that it means.
func withRegistry(r *http.Request, do func(*registry.Registry) error) error {
	entry, err := stores.joinRoot(r.URL.Query().Get("root"))
	if err != nil {
		return adminError(http.StatusNotFound, err)
	}
	defer stores.leave(entry)
	store, err := entry.wait(r.Context(), openWait)
	if err != nil {
		return adminError(http.StatusServiceUnavailable, err)
	}
	return do(store)
}

func storeError(err error) error {
	for _, known := range []struct {
		err    error
		status int
	}{
		{registry.ErrInvalidToken, http.StatusBadRequest},
		{registry.ErrTokenExists, http.StatusConflict},
		{registry.ErrTokenNotFound, http.StatusNotFound},
		{registry.ErrNoTokens, http.StatusNotImplemented},
		{registry.ErrNoJournal, http.StatusNotImplemented},
		{registry.ErrNotContinued, http.StatusConflict},
		{registry.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			return adminError(known.status, err)
		}
	}
	return adminError(http.StatusInternalServerError, err)
}

func adminError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

func answerJSON(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(value)
}

var _ caddy.AdminRouter = Admin{}
