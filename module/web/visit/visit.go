package visit

import (
	"errors"
	"maps"
	"net/http"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
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
	// CacheControl is that of refusals which have none of their own. Empty keeps caches away.
	CacheControl string

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

// Republishing tells what a publish by this user does in a package where the name is taken,
// and whether what is published there is immutable for this user.
func (v *Visit) Republishing(owner, pkg string) (onDuplicate store.OnDuplicate, immutable bool) {
	return v.site.Rules.Republishing(v.who, owner, pkg)
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
