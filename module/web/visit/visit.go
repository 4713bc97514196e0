package visit

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Visit is one request. It belongs to the goroutine that serves the request.
type Visit struct {
	// Path comes after the prefix of the wing.
	Path
	// About is what the request is about, as far as the wing has found out: the audit log,
	// placeholders and the patience with a refused client go by it.
	About store.Ref
	// Form writes refusals. The default is Text.
	Form Form

	site    *Site
	request *http.Request
	header  http.Header // of the answer, as it was before the wing
	who     *identity
	action  grant.Action
	file    store.File // what was found or published
	found   bool       // whether there is such a file
	err     error      // why the request was refused
	// republished says what became of a file that was there before: same or replaced.
	republished string
	status      int  // of a change that was made, where it is not the usual one
	untold      bool // nobody is to hear of the change
}

// Restart drops the header lines of the answer that the wing has set so far.
func (v *Visit) Restart(w http.ResponseWriter) {
	clear(w.Header())
	maps.Copy(w.Header(), v.header)
}

// User is the user's name, empty for anonymous.
func (v *Visit) User() string { return v.who.user }

// Token is the token that authenticated the user, nil when it was something else.
func (v *Visit) Token() *grant.Token { return v.who.token }

// Known is nil when it is known who the user is. ErrUnauthenticated for anonymous;
// store.ErrUnavailable when the credentials cannot be checked now.
func (v *Visit) Known() error {
	switch {
	case v.who.fault != nil:
		return errors.Join(store.ErrUnavailable, v.who.fault)
	case v.who.user == "":
		return ErrUnauthenticated
	}
	return nil
}

// May decides whether the user may do something with a package, or with an owner when the
// package is empty. It is asked before any store, so that the names of a private owner leak
// neither by status nor by timing. The error is ErrUnauthenticated, ErrForbidden, ErrScope,
// ErrCrossSite, or store.ErrPackageNotFound for what the user may not read;
// store.ErrUnavailable when the credentials cannot be checked now.
func (v *Visit) May(what grant.Action, owner, pkg string) error {
	v.action = what
	if v.who.fault != nil {
		return errors.Join(store.ErrUnavailable, v.who.fault)
	}
	if !v.covers(what, owner, pkg) {
		return Tell(ErrScope, "the scope of token %s does not allow it to %s in %s/%s", v.who.token.Name, what, owner, pkg)
	}
	if !v.site.Rules.Allows(v.who, what, owner, pkg) {
		return v.refusal(what, owner, pkg)
	}
	// Browsers send cached Basic credentials along with cross-site requests.
	if err := v.site.CrossSite.Check(v.request); what != grant.Read && err != nil {
		return fmt.Errorf("%w: %w", ErrCrossSite, err)
	}
	return nil
}

// refusal is the answer to a user without the right. Whether a private owner has
// anything is not told to those who may not read it.
func (v *Visit) refusal(what grant.Action, owner, pkg string) error {
	switch {
	case v.who.user == "":
		return ErrUnauthenticated
	case what == grant.Read:
		return store.ErrPackageNotFound
	case what == grant.Delete && v.IsImmutable(owner, pkg) && v.site.Rules.Allows(v.who, grant.Read, owner, pkg):
		return Tell(ErrForbidden, "%s/%s is immutable: only an admin may delete files there", owner, pkg)
	}
	return Tell(ErrForbidden, "user %s may not %s in %s/%s", v.who.user, what, owner, pkg)
}

// Can is May for lists, of which each element is asked about: it says nothing of why, and
// does not ask where the request comes from.
func (v *Visit) Can(what grant.Action, owner, pkg string) bool {
	return v.who.fault == nil && v.covers(what, owner, pkg) && v.site.Rules.Allows(v.who, what, owner, pkg)
}

// IsOpen tells whether anyone may read a package, and this request shows that it comes here
// without credentials: a matcher of Caddy in front may ask for some.
func (v *Visit) IsOpen(owner, pkg string) bool {
	header := v.request.Header
	return v.who.user == "" && v.who.fault == nil && header.Get("Authorization") == "" && header.Get("Cookie") == "" &&
		v.Can(grant.Read, owner, pkg)
}

// Republishing tells what a publish by this user does in a package where the name is taken,
// and whether what is published there is immutable for this user.
func (v *Visit) Republishing(owner, pkg string) (onDuplicate store.OnDuplicate, immutable bool) {
	return v.site.Rules.Republishing(v.who, owner, pkg)
}

// covers tells whether the token, if it was one, is for that.
func (v *Visit) covers(what grant.Action, owner, pkg string) bool {
	return v.who.token == nil || v.who.token.Scope.Covers(what, owner, pkg)
}

// mayWrite tells whether a client may write where its request goes, which tells for how
// long it is listened to after a refusal.
func (v *Visit) mayWrite() bool {
	return naming.CheckOwner(v.About.Owner) == nil && v.Can(grant.Write, v.About.Owner, v.About.Package)
}

// Use runs a function on the site's registry, which stays open until the function returns.
// The error is the function's, or store.ErrUnavailable, or for an upload store.ErrNoSpace.
func (v *Visit) Use(do func(*registry.Registry) error) error {
	err := v.site.Use(v.request.Context(), do)
	var closed *pool.NotOpen
	if v.action == grant.Write && errors.As(err, &closed) && errors.Is(closed.Why, store.ErrNoSpace) {
		return closed.Why
	}
	return err
}

// Limits are those of what the user publishes at once in the package of the visit.
func (v *Visit) Limits() registry.Limits {
	rules, owner := v.site.Rules, v.About.Owner
	limits := registry.Limits{Quota: rules.Quota(owner), Uploads: v.site.Uploads, UserUploads: v.site.UserUploads}
	limits.OnDuplicate, limits.Immutable = rules.Republishing(v.who, owner, v.About.Package)
	return limits
}

// IsImmutable tells whether only admins may delete or replace what is published in a
// package.
func (v *Visit) IsImmutable(owner, pkg string) bool { return v.site.Rules.IsImmutable(owner, pkg) }

// URL returns the absolute URL of a path below the site's prefix, as the client sees it.
func (v *Visit) URL(segments ...string) string {
	var path strings.Builder
	path.WriteString(v.Base())
	for _, list := range [][]string{v.site.Prefix, segments} {
		for _, segment := range list {
			path.WriteString("/" + url.PathEscape(segment))
		}
	}
	return path.String()
}

// Base returns the scheme and the host of the request, and what was stripped off its path
// in front of the handler. Those that a proxy says count where Caddy trusts the proxy.
func (v *Visit) Base() string {
	r := v.request
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if said := forwarded(r, "X-Forwarded-Proto"); said == "http" || said == "https" {
			scheme = said
		}
		if said := forwarded(r, "X-Forwarded-Host"); isHost(said) {
			host = said
		}
	}
	stripped, whole := strings.CutSuffix(OriginalPath(r), r.URL.EscapedPath())
	if !whole {
		stripped = "" // rewritten in another way
	}
	return scheme + "://" + host + strings.TrimRight(stripped, "/")
}

// forwarded is what the proxy nearest to the client says.
func forwarded(r *http.Request, header string) string {
	said, _, _ := strings.Cut(r.Header.Get(header), ",")
	return strings.ToLower(strings.TrimSpace(said))
}

func isHost(text string) bool {
	parsed, err := url.Parse("//" + text)
	return err == nil && text != "" && parsed.Host == text
}

// OriginalPath returns the path as the client sent it, before any rewrite.
func OriginalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// logFailure logs why a request failed, unless nobody wants its answer any more, which made
// it fail.
func (v *Visit) logFailure(status int) {
	if ended := v.request.Context().Err(); ended != nil && errors.Is(causeOf(v.err), ended) {
		return
	}
	level := zap.WarnLevel // for a fault that passes, which the store itself has logged
	if status == http.StatusInternalServerError {
		level = zap.ErrorLevel
	}
	v.site.Log.Log(level, "request failed", zap.Int("status", status), zap.String("method", v.request.Method),
		zap.String("owner", v.About.Owner), zap.String("package", v.About.Package),
		zap.String("version", v.About.Version), zap.String("file", v.About.File), zap.Error(v.err))
}
