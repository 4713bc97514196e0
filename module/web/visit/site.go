package visit

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// Site is what the settings of a handler say of all its requests. It is made once and not
// changed afterwards.
type Site struct {
	// Registry says whose tokens count.
	Registry pool.Key
	// Prefix has the segments of the path that the packages are under.
	Prefix []string
	// Rules say who may do what.
	Rules *access.Rules
	// UserKey and GroupsKey are the keys of the placeholders that have the user, where no
	// authentication handler named one, and the user's groups. Empty is none.
	UserKey, GroupsKey string
	// CrossSite judges whether a change comes from a page of another site.
	CrossSite *http.CrossOriginProtection
	// Use runs a function on the site's registry, as pool.Pool does.
	Use func(context.Context, func(*registry.Registry) error) error
	// Uploads and UserUploads are how many uploads may be in progress at once, in all and
	// for each user. Zero is no limit.
	Uploads, UserUploads int

	// Events are emitted for changes. Nil when nobody can listen.
	Events *Events
	// RouteErrors has the site's error routes word refusals that are for people.
	RouteErrors bool
	// Traffic counts the requests. Nil when nobody counts.
	Traffic *Traffic

	Log   *zap.Logger
	Audit *zap.Logger // for changes, and for changes that were refused
}

// Wing is one API over the registry of a site.
type Wing interface {
	// Serve answers a request, whose context is the visit's. It returns an error before it
	// has written anything, or else a *BrokenOff. The error is one of package store's, or a
	// refusal, or anything else, which the client hears of as 500. Header lines that were
	// set before an error are dropped. Many may run at once.
	Serve(w http.ResponseWriter, r *http.Request, v *Visit) error
}

// Counted is a wing whose requests are counted as one operation, whatever their method.
type Counted struct {
	Wing
	// Operation is one of the constants.
	Operation string
}

// Serve has a wing answer a request. The path is what comes after the wing's prefix.
func (s *Site) Serve(w http.ResponseWriter, r *http.Request, path Path, wing Wing) {
	ctx, end := wanted(r)
	defer end()
	traffic := s.Traffic
	if traffic == nil {
		traffic = new(Traffic) // nobody counts
	}
	body := &requestBody{ReadCloser: r.Body, received: &traffic.received}
	answer := &counted{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, sent: &traffic.sent}
	w = answer
	r = r.WithContext(ctx)
	r.Body = body
	v := s.receive(r, path)
	v.header = maps.Clone(w.Header())
	defer func() { traffic.note(operationOf(wing, r.Method), cmp.Or(answer.status, http.StatusOK), v.err) }()
	v.err = wing.Serve(w, r, v)
	if v.err == nil {
		v.auditChange()
		v.emitChange()
		return
	}
	if broken := new(BrokenOff); errors.As(v.err, &broken) {
		status, _, _ := statusOf(broken.Err) // what an answer would have
		v.logFailure(status)
		panic(http.ErrAbortHandler)
	}
	v.auditChange()
	if status, _, _ := statusOf(v.err); status >= http.StatusInternalServerError {
		v.logFailure(status)
	}
	v.Restart(w)
	form := v.Form
	if s.RouteErrors {
		form = s.routed(w, r, form, v.err)
	}
	deny(w, r, body, denial{mayWrite: v.mayWrite(), cacheControl: v.CacheControl}, form, v.err)
}

// receive makes the visit of a request.
func (s *Site) receive(r *http.Request, path Path) *Visit {
	v := &Visit{Path: path, Form: Text, site: s, request: r, who: s.identify(r), action: ActionOf(r.Method)}
	if v.who.replacer != nil {
		v.who.replacer.Map(v.placeholder)
	}
	return v
}

// ActionOf tells what a request does, as long as its wing has not said so.
func ActionOf(method string) grant.Action {
	switch method {
	case http.MethodPut:
		return grant.Write
	case http.MethodDelete:
		return grant.Delete
	}
	return grant.Read
}
