package module

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/web/api"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// ServeHTTP implements caddyhttp.MiddlewareHandler. It decides which wing answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.probes.Serve(w, r, h.store) {
		return nil
	}
	path := visit.ParsePath(r.URL.EscapedPath())
	if wing, below := h.wing(r, path); wing != nil {
		h.site.Serve(w, r, below, wing)
		return nil
	}
	return h.pass(w, r, next, path)
}

// answers tells whether the registry answers a request, and whether it does when nobody behind
// it does. It is what ServeHTTP and pass do.
func (h *Handler) answers(r *http.Request) (always, otherwise bool) {
	path := visit.ParsePath(r.URL.EscapedPath())
	wing, _ := h.wing(r, path)
	offer, _ := h.api.Offer(path)
	return h.probes.Has(r) || wing != nil, h.pages.IsOfGitea(r, h.site.Prefix) || offer != nil
}

// wing returns what answers a path, and what of the path is below. Nil when the path is not
// the registry's.
func (h *Handler) wing(r *http.Request, path visit.Path) (visit.Wing, visit.Path) {
	below, inside := path.Under(h.site.Prefix)
	switch {
	case !inside:
		wing, below := h.api.Find(path)
		if wing == nil {
			return nil, below
		}
		return visit.Counted{Wing: wing, Operation: visit.OperationAPI}, below
	case api.IsDocument(below):
		return visit.Counted{Wing: h.api.Document, Operation: visit.OperationAPI}, below
	case h.resume.Wants(r):
		return visit.Counted{Wing: &h.resume, Operation: visit.OperationResume}, below
	case h.pages != nil && h.pages.Answers(r, below):
		return visit.Counted{Wing: h.pages, Operation: visit.OperationBrowse}, below
	}
	return &h.files, below
}

// pass hands a request that is not the registry's on. One that nobody behind answers
// gets a 404: Caddy's own answer is an empty 200, and a client that published to a wrong
// path would take that for success.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, path visit.Path) error {
	if err := next.ServeHTTP(w, r); err != nil {
		return err
	}
	// Caddy's last handler sets it, and answers nothing.
	if unhandled, _ := caddyhttp.GetVar(r.Context(), unhandledVariable).(bool); !unhandled {
		return nil
	}
	caddyhttp.SetVar(r.Context(), unhandledVariable, false)
	if h.pages != nil && h.pages.RedirectGitea(w, r, h.site.Prefix) {
		return nil
	}
	if wing, below := h.api.Offer(path); wing != nil {
		h.site.Serve(w, r, below, visit.Counted{Wing: wing, Operation: visit.OperationAPI})
		return nil
	}
	if h.isStripped(r) {
		h.stripped.Do(func() {
			h.log.Warn("a request is not under the registry's prefix, because something stripped the prefix before; use handle in place of handle_path, or write prefix / in generic_registry",
				zap.String("prefix", h.Prefix), zap.String("original_path", visit.OriginalPath(r)), zap.String("path", r.URL.EscapedPath()))
		})
	}
	// The text names the path that the API has.
	visit.Deny(w, r, visit.Refuse(http.StatusNotFound, "not found: packages are under "+strings.TrimSuffix(h.Prefix, "/")+"/"))
	return nil
}

// unhandledVariable is the request variable in which Caddy's last handler says that
// nobody answered.
const unhandledVariable = "unhandled"

// isStripped tells whether a request would be the registry's as the client sent it.
func (h *Handler) isStripped(r *http.Request) bool {
	below, inside := visit.ParsePath(visit.OriginalPath(r)).Under(h.site.Prefix)
	return inside && h.files.Has(below)
}
