package module

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// openWait bounds how long a request waits for its store: apps start in any
// order, so a request can come before the store is open.
const openWait = 30 * time.Second

// userPlaceholder is set by Caddy's authentication handler. Its value is the
// user; nothing is expanded, because an unset placeholder would expand to itself.
const userPlaceholder = "http.auth.user.id"

// Refusals of the handler itself. Their statuses are in one table, status.go.
var (
	errMethod          = errors.New("method not allowed")
	errUnauthenticated = errors.New("authentication required")
	errForbidden       = errors.New("writing to this owner's packages is not allowed")
	errCrossSite       = errors.New("cross-site request refused")
)

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rt, inside, err := parseRoute(h.prefix, r.URL.EscapedPath())
	if !inside {
		return next.ServeHTTP(w, r)
	}
	body := &requestBody{ReadCloser: r.Body}
	r.Body = body
	if err == nil {
		err = h.serve(w, r, rt)
	}
	if err != nil {
		h.refuse(w, r, body, rt, err)
	}
	return nil
}

// serve answers a request, or returns why not before anything was written.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, rt route) error {
	if !rt.allows(r.Method) {
		return errMethod
	}
	user := requestUser(r)
	if err := h.authorize(r, rt.Owner, user); err != nil {
		return err
	}
	var wanted digests
	if r.Method == http.MethodPut {
		var err error
		if wanted, err = h.checkPut(r, rt); err != nil {
			return err
		}
	}

	entry := stores.join(h.store)
	if entry == nil {
		return fmt.Errorf("%w: closed by a reload", registry.ErrUnavailable)
	}
	defer stores.leave(entry)
	store, err := entry.wait(r.Context(), openWait)
	if err != nil {
		if r.Method == http.MethodPut && errors.Is(err, registry.ErrNoSpace) {
			return err
		}
		return errors.Join(registry.ErrUnavailable, err)
	}

	switch {
	case r.Method == http.MethodPut:
		return h.put(w, r, store, rt.Ref, user, wanted)
	case r.Method == http.MethodDelete:
		return remove(w, r, store, rt)
	}
	return download(w, r, store, rt.Ref)
}

// requestUser returns the authenticated user, empty when there is none.
func requestUser(r *http.Request) string {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	user, _ := replacer.GetString(userPlaceholder)
	return user
}

// authorize decides who may do what before the store is asked, so that a private
// owner's names leak neither by status nor by timing.
func (h *Handler) authorize(r *http.Request, owner, user string) error {
	write := r.Method == http.MethodPut || r.Method == http.MethodDelete
	may := h.access.mayRead
	if write {
		may = h.access.mayWrite
	}
	if !may(user, owner) {
		return refusal(user, write)
	}
	// Browsers send cached Basic credentials along with cross-site requests.
	if err := h.crossSite.Check(r); write && err != nil {
		return fmt.Errorf("%w: %w", errCrossSite, err)
	}
	return nil
}

// refusal is what a user without the right hears. Whether a private owner has
// anything is not told to those who may not read it.
func refusal(user string, write bool) error {
	switch {
	case user == "":
		return errUnauthenticated
	case write:
		return errForbidden
	}
	return registry.ErrPackageNotFound
}

// remove deletes a file or a version.
func remove(w http.ResponseWriter, r *http.Request, store *registry.Registry, rt route) error {
	var err error
	if rt.File == "" {
		err = store.DeleteVersion(r.Context(), rt.VersionRef)
	} else {
		err = store.DeleteFile(r.Context(), rt.Ref)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
