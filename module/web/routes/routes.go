// Package routes asks the routes of a server of Caddy: who answers a request behind a handler,
// before the handler hands the request on, and what the error routes say of an error.
package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Place is where a handler stands in a server.
type Place struct {
	server *caddyhttp.Server
	lists  []position // in which the handler is, the inner first
}

// position is a handler's own in a list of routes around it.
type position struct {
	list           caddyhttp.RouteList
	route, handler int
}

// deepest bounds how many lists are inside each other: named routes can invoke themselves.
const deepest = 32

// Places returns where a server has a handler. A named route has it once for each of its
// invocations. Routes of errors are not searched.
func Places(server *caddyhttp.Server, is func(caddyhttp.MiddlewareHandler) bool) []Place {
	return places(Place{server: server}, server.Routes, is)
}

func places(around Place, list caddyhttp.RouteList, is func(caddyhttp.MiddlewareHandler) bool) (all []Place) {
	if len(around.lists) == deepest {
		return nil
	}
	for i, route := range list {
		for j, handler := range route.Handlers {
			here := Place{around.server, append([]position{{list, i, j}}, around.lists...)}
			if is(handler) {
				all = append(all, here)
			}
			all = append(all, places(here, inner(around.server, handler), is)...)
		}
	}
	return all
}

// inner returns the routes that are in a handler.
func inner(server *caddyhttp.Server, handler caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return h.Routes
	case *caddyhttp.Invoke:
		if named := server.NamedRoutes[h.Name]; named != nil {
			return caddyhttp.RouteList{*named}
		}
	}
	return nil
}

// Answering returns the handler behind a place that answers a request, or nil when none does.
// The function tells of each handler that the request comes to whether it answers; handlers of
// Caddy that always do need no word of it. The function sees the request as rewrites have made
// it; afterwards the request is as before. An error is that of a matcher.
func (p Place) Answering(r *http.Request, answers func(caddyhttp.MiddlewareHandler, *http.Request) bool) (caddyhttp.MiddlewareHandler, error) {
	url, uri, method := *r.URL, r.RequestURI, r.Method
	defer func() { *r.URL, r.RequestURI, r.Method = url, uri, method }()
	w := &walk{server: p.server, request: r, answers: answers, groups: make(map[string]bool)}
	for _, at := range p.lists {
		w.behind(at)
		if w.ended {
			break
		}
	}
	return w.answering, w.err
}

// walk is a request on its way.
type walk struct {
	server  *caddyhttp.Server
	request *http.Request
	answers func(caddyhttp.MiddlewareHandler, *http.Request) bool
	groups  map[string]bool // of which a route was taken
	depth   int             // of lists inside each other

	ended     bool // the request goes no further
	answering caddyhttp.MiddlewareHandler
	err       error
}

// behind goes on after a position. Of the groups in front, those count that would be taken now.
func (w *walk) behind(at position) {
	taken := at.list[at.route]
	for _, front := range at.list[:at.route] {
		if front.Group != "" && w.matches(front) {
			w.groups[front.Group] = true
		}
	}
	w.take(taken, at.handler+1)
	w.routes(at.list[at.route+1:])
}

func (w *walk) routes(list caddyhttp.RouteList) {
	for _, route := range list {
		if !w.ended && !w.groups[route.Group] && w.matches(route) {
			w.take(route, 0)
		}
	}
}

// take goes through the handlers of a route, from one on.
func (w *walk) take(route caddyhttp.Route, from int) {
	if route.Group != "" {
		w.groups[route.Group] = true
	}
	for _, handler := range route.Handlers[from:] {
		if w.ended {
			return
		}
		w.meet(handler)
	}
	w.ended = w.ended || route.Terminal
}

func (w *walk) meet(handler caddyhttp.MiddlewareHandler) {
	if change, ok := handler.(*rewrite.Rewrite); ok {
		if replacer, ok := w.request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			change.Rewrite(w.request, replacer)
		}
		return
	}
	if alwaysAnswers(handler) || w.answers(handler, w.request) {
		w.answering, w.ended = handler, true
		return
	}
	if w.depth == deepest {
		w.ended = true
		return
	}
	w.depth++
	w.routes(inner(w.server, handler))
	w.depth--
}

func (w *walk) matches(route caddyhttp.Route) bool {
	if w.ended {
		return false
	}
	matches, err := route.MatcherSets.AnyMatchWithError(w.request)
	if err != nil {
		w.err, w.ended = err, true
	}
	return matches && err == nil
}

// alwaysAnswers tells whether a handler of Caddy hands no request on. forward_auth is a proxy
// that does, by its routes for responses.
func alwaysAnswers(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *caddyhttp.StaticResponse, *caddyhttp.StaticError, *fileserver.FileServer:
		return true
	case *reverseproxy.Handler:
		return len(h.HandleResponse) == 0
	}
	return false
}
