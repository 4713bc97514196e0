package module

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/routes"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

func init() { caddy.RegisterModule(&Authenticator{}) }

// Authenticator authenticates tokens of a registry, and users with passwords.
//
// A token comes in `Authorization: Bearer <token>`, in `Authorization: token <token>`,
// or in Basic credentials as the password or the user; the other half of these does not
// matter. Caddy's own provider checks all other Basic credentials. A request without
// credentials passes as anonymous, unless credentials are required. A request with wrong
// credentials is answered 401.
//
// The handler of the registry decides what a token may do. In the rest of the site, and in
// other registries, a request with a token is anonymous: only the handler sets
// `{http.auth.user.id}` for a token.
//
// The Authenticator writes its 401 itself, with a text, and reads what the client is still
// sending, so that the answer arrives. The site's `handle_errors` runs after this answer,
// and what it writes is dropped.
//
// Other providers may share the `http.handlers.authentication` where `require` is set. Caddy
// then writes the 401, with an empty body or with that of `handle_errors`, and a request with
// the credentials of two providers counts as that of either.
type Authenticator struct {
	// The root of the registry that has the tokens, written as in the handler of that
	// registry. The configuration must have such a handler. Placeholders are replaced
	// when the config is loaded. Default: the default root of the handler.
	Root string `json:"root,omitempty"`

	// Users with passwords, as in Caddy's `http_basic` provider, without its `realm`. No two
	// names may differ only in case. Caddy hashes few passwords at a time; a request that
	// waits longer than ten seconds for its hash is answered 503. Default: none; only tokens
	// are accepted.
	Basic *caddyauth.HTTPBasicAuth `json:"basic,omitempty"`

	// Whether a request without credentials is answered 401, as by `http_basic`. A request
	// with a token that the registry itself does not answer is then answered 401 too. Set this
	// where the site serves other things that are not for everybody. Default: false;
	// anonymous requests pass, and each handler decides what they may do.
	Require bool `json:"require,omitempty"`

	app    *App
	audit  *zap.Logger
	shared bool // with other providers of the same handler
	places func() []routes.Place
}

// errCredentials does not say which half is wrong.
var errCredentials = visit.Refuse(http.StatusUnauthorized, "authentication failed: wrong user or password, or a token that is unknown, expired or revoked")

// errShared: Caddy asks the providers of a handler in any order, up to the first that lets the
// request pass.
var errShared = errors.New("generic_registry lets anonymous requests pass, so that users of the other providers of this authentication handler would be anonymous at random: write \"require\": true, or give generic_registry an authentication handler of its own, in front of that of the others")

// CaddyModule returns the Caddy module information.
func (*Authenticator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authentication.providers.generic_registry",
		New: func() caddy.Module { return new(Authenticator) },
	}
}

// Provision implements caddy.Provisioner. It opens no store.
func (a *Authenticator) Provision(ctx caddy.Context) (err error) {
	a.audit = auditLogger(ctx)
	for _, module := range ctx.Modules() {
		if handler, ok := module.(*caddyauth.Authentication); ok {
			a.shared = len(handler.ProvidersRaw) > 1
		}
	}
	if a.shared && !a.Require {
		return errShared
	}
	if a.Root, err = pool.ResolveRoot(a.Root); err != nil {
		return err
	}
	if a.Basic != nil {
		if err := a.provisionBasic(ctx); err != nil {
			return fmt.Errorf("basic: %w", err)
		}
	}
	app, err := ctx.App(AppID)
	if err != nil {
		return fmt.Errorf("loading app %s: %w", AppID, err)
	}
	a.app, a.places = app.(*App), sync.OnceValue(a.findPlaces)
	a.app.expect(a.Root)
	return nil
}

// Authenticate implements caddyauth.Authenticator.
func (a *Authenticator) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	credentials := r.Header.Values("Authorization")
	if len(credentials) == 0 {
		if a.Require {
			return a.challenge(w, r, visit.ErrUnauthenticated)
		}
		return caddyauth.User{}, true, nil
	}
	if len(credentials) > 1 {
		return a.refuse(w, r, attempt{}, errors.New("more than one Authorization header"))
	}
	text, isToken := tokenIn(r, credentials[0])
	if !isToken {
		return a.checkBasic(w, r)
	}
	return a.checkToken(w, r, text)
}

// checkToken lets a request with a token pass as anonymous, and gives the token to the handler.
func (a *Authenticator) checkToken(w http.ResponseWriter, r *http.Request, text string) (caddyauth.User, bool, error) {
	key, token, err := a.find(r, text)
	switch {
	case errors.Is(err, store.ErrTokenNotFound), errors.Is(err, store.ErrTokenExpired):
		return a.refuse(w, r, attempt{user: token.User, token: token.Name}, err)
	case err != nil:
		return a.postpone(w, r, key, err)
	case a.Require && !a.isInside(r):
		return a.refuse(w, r, attempt{user: token.User, token: token.Name}, errTokenOutside)
	}
	visit.SetToken(r, key, &token)
	return caddyauth.User{}, true, nil
}

// errTokenOutside: somebody presents a registry's token to something else.
var errTokenOutside = visit.Refuse(http.StatusUnauthorized, "a token is valid in its registry only")

// postpone leaves it to the handler of a registry to answer that credentials cannot be checked now:
// to refuse them would have their bearer throw them away. Outside of the registry
// their bearer is nobody.
func (a *Authenticator) postpone(w http.ResponseWriter, r *http.Request, key pool.Key, why error) (caddyauth.User, bool, error) {
	if a.Require && !a.isInside(r) {
		return a.challenge(w, r, visit.ErrUnauthenticated)
	}
	w.Header().Del("WWW-Authenticate")
	visit.SetFault(r, key, why)
	return caddyauth.User{}, true, nil
}

// tokenIn returns what a request presents as a token: by its prefix in Basic
// credentials, by its scheme otherwise.
func tokenIn(r *http.Request, credentials string) (text string, isToken bool) {
	if user, password, ok := r.BasicAuth(); ok {
		for _, candidate := range []string{password, user} {
			if strings.HasPrefix(candidate, grant.Prefix) {
				return candidate, true
			}
		}
		return "", false
	}
	scheme, text, _ := strings.Cut(credentials, " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "token") {
		return "", false
	}
	return strings.TrimSpace(text), true
}

// find returns the token of a text, and whose it is.
func (a *Authenticator) find(r *http.Request, text string) (key pool.Key, token grant.Token, err error) {
	if key, err = a.app.find(a.Root); err != nil {
		return key, token, err
	}
	err = pool.Registries.Use(r.Context(), key, func(reg *registry.Registry) error {
		token, err = reg.CheckToken(r.Context(), text)
		return err
	})
	return key, token, err
}

func (a *Authenticator) checkBasic(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	name, _, _ := r.BasicAuth()
	if a.Basic == nil {
		return a.refuse(w, r, attempt{user: name}, errors.New("no token"))
	}
	user, good, err := a.Basic.Authenticate(w, r)
	switch {
	case errors.Is(err, errHashesBusy):
		// A user with a password is one in every registry.
		return a.postpone(w, r, pool.Key{}, err)
	case err != nil || !good:
		return a.refuse(w, r, attempt{user: name}, errors.Join(errors.New("wrong user or password"), err))
	}
	return user, true, nil
}

// attempt is whom refused credentials name.
type attempt struct{ user, token string }

// longestAttempt is how much of a name that a client made up is logged.
const longestAttempt = naming.MaxLength

// refuse answers 401, and tells the audit log whose credentials they were.
func (a *Authenticator) refuse(w http.ResponseWriter, r *http.Request, whose attempt, why error) (caddyauth.User, bool, error) {
	user := whose.user
	if len(user) > longestAttempt {
		user = user[:longestAttempt]
	}
	a.audit.Info("refused",
		zap.String("action", string(visit.ActionOf(r.Method))), zap.String("result", why.Error()), zap.Int("status", http.StatusUnauthorized),
		zap.String("user", strings.ToValidUTF8(user, "\ufffd")), zap.String("token", whose.token), zap.String("path", r.URL.Path),
		zap.String("remote_addr", r.RemoteAddr), zap.String("client_ip", visit.ClientIP(r)))
	if errors.Is(why, errTokenOutside) {
		return a.challenge(w, r, errTokenOutside)
	}
	return a.challenge(w, r, errCredentials)
}

// challenge answers 401 and listens to the rest of the request, as every refusal of the
// registry does. What Caddy does once it hears that the request is not authenticated
// comes after the answer: `handle_errors` runs, and what it writes is dropped. Beside other
// providers, one of which may still let the request in, the answer is Caddy's.
func (a *Authenticator) challenge(w http.ResponseWriter, r *http.Request, why error) (caddyauth.User, bool, error) {
	w.Header().Set("WWW-Authenticate", visit.Challenge)
	switch {
	case !a.shared:
		visit.DenyAlone(w, r, why)
	case r.ProtoMajor == 1 && visit.ExpectsContinue(r):
		// Otherwise the client would wait for a 100 that does not come.
		w.Header().Set("Connection", "close")
	}
	return caddyauth.User{}, false, nil
}

var (
	_ caddy.Provisioner       = (*Authenticator)(nil)
	_ caddyauth.Authenticator = (*Authenticator)(nil)
)
