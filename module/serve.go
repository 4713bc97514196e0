package module

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Refusals of the handler itself. Their statuses are in one table, status.go.
var (
	errMethod          = errors.New("method not allowed")
	errUnauthenticated = errors.New("authentication required")
	errForbidden       = errors.New("this user may not do this")
	errScope           = errors.New("the token's scope does not cover this")
	errCrossSite       = errors.New("cross-site request refused")
)

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if probe, ours := h.healthProbe(r.URL.EscapedPath()); ours {
		h.answerProbe(w, r, probe)
		return nil
	}
	rt, inside, err := parseRoute(h.prefix, r.URL.EscapedPath())
	if !inside {
		return h.pass(w, r, next)
	}
	body := &requestBody{ReadCloser: r.Body}
	r.Body = body
	who := h.identify(r)
	record := newRecord(r, rt, who)
	if err == nil {
		err = h.serve(w, r, rt, who, record)
	}
	record.err = err
	if actionOf(r.Method) != store.ActionRead {
		h.auditChange(r, record)
	}
	if err != nil {
		h.refuse(w, r, body, rt, who, err)
	}
	return nil
}

// pass hands a request that is not the registry's on. One that nobody behind answers
// gets a 404: Caddy's own answer is an empty 200, and a client that published to a wrong
// path would take that for success.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := next.ServeHTTP(w, r); err != nil {
		return err
	}
	// Caddy's last handler sets it, and answers nothing.
	if unhandled, _ := caddyhttp.GetVar(r.Context(), unhandledVariable).(bool); !unhandled {
		return nil
	}
	caddyhttp.SetVar(r.Context(), unhandledVariable, false)
	if _, inside, err := parseRoute(h.prefix, originalPath(r)); inside && err == nil {
		h.stripped.Do(func() {
			h.log.Warn("a request was not the registry's, because its prefix was stripped before; use handle in place of handle_path, or write prefix / in generic_registry",
				zap.String("prefix", h.Prefix), zap.String("original_path", originalPath(r)), zap.String("path", r.URL.EscapedPath()))
		})
	}
	denial{http.StatusNotFound, line(h.notHere()), false}.answer(w, r, &requestBody{ReadCloser: r.Body})
	return nil
}

// unhandledVariable is the request variable in which Caddy's last handler says that
// nobody answered.
const unhandledVariable = "unhandled"

// notHere is the text of a 404 outside the prefix. It names the path that the API has.
func (h *Handler) notHere() string {
	return "not found: packages are under " + strings.TrimSuffix(h.Prefix, "/") + "/"
}

// serve answers a request, or returns why not before anything was written.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, rt route, who *identity, record *record) error {
	if !rt.allows(r.Method) {
		return rt.methodError()
	}
	if err := h.authorize(r, rt, who); err != nil {
		return err
	}
	var declared declaration
	if r.Method == http.MethodPut {
		var err error
		if declared, err = h.checkPut(r, rt); err != nil {
			return err
		}
	}

	err := pool.Registries.Use(r.Context(), h.store, func(reg *registry.Registry) error {
		ctx, end := wanted(r)
		defer end()
		switch r.Method {
		case http.MethodPut:
			return h.put(w, r.WithContext(ctx), reg, rt.Ref, declared, record)
		case http.MethodDelete:
			return remove(ctx, w, reg, rt, who.user)
		}
		return h.download(ctx, w, r, reg, rt.Ref, record)
	})
	var closed *pool.NotOpen
	if errors.As(err, &closed) && r.Method == http.MethodPut && errors.Is(err, store.ErrNoSpace) {
		return closed.Why // 507 in place of 503
	}
	return err
}

// actionOf tells what a request with an allowed method does.
func actionOf(method string) store.Action {
	switch method {
	case http.MethodPut:
		return store.ActionWrite
	case http.MethodDelete:
		return store.ActionDelete
	}
	return store.ActionRead
}

// authorize decides who may do what before the store is asked, so that a private
// owner's names leak neither by status nor by timing.
func (h *Handler) authorize(r *http.Request, rt route, who *identity) error {
	what := actionOf(r.Method)
	if who.fault != nil {
		return errors.Join(store.ErrUnavailable, who.fault)
	}
	if who.token != nil && !who.token.Scope.Covers(what, rt.Owner, rt.Package) {
		return tell(errScope, "the scope of token %s does not let it %s in %s/%s", who.token.Name, what, rt.Owner, rt.Package)
	}
	if !h.access.Allows(who, what, rt.Owner, rt.Package) {
		return refusal(who.user, what, rt)
	}
	// Browsers send cached Basic credentials along with cross-site requests.
	if err := h.crossSite.Check(r); what != store.ActionRead && err != nil {
		return fmt.Errorf("%w: %w", errCrossSite, err)
	}
	return nil
}

// refusal is what a user without the right hears. Whether a private owner has
// anything is not told to those who may not read it.
func refusal(user string, what store.Action, rt route) error {
	switch {
	case user == "":
		return errUnauthenticated
	case what == store.ActionRead:
		return store.ErrPackageNotFound
	}
	return tell(errForbidden, "user %s may not %s in %s/%s", user, what, rt.Owner, rt.Package)
}

// remove deletes a file or a version.
func remove(ctx context.Context, w http.ResponseWriter, reg *registry.Registry, rt route, user string) error {
	var err error
	if rt.File == "" {
		err = reg.DeleteVersion(ctx, rt.VersionRef, user)
	} else {
		err = reg.DeleteFile(ctx, rt.Ref, user)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
