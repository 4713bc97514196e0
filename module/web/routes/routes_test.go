package routes

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// named is a handler: the guard, whose place is asked for, one that answers below the path in
// its name, or one that hands every request on.
type named string

func (named) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { return nil }

const (
	guard  = named("guard")
	passes = named("passes")
)

func isGuard(handler caddyhttp.MiddlewareHandler) bool { return handler == guard }

func answersBelow(handler caddyhttp.MiddlewareHandler, r *http.Request) bool {
	path, ok := handler.(named)
	return ok && strings.HasPrefix(r.URL.Path, string(path))
}

// under matches paths below it.
type under string

func (u under) MatchWithError(r *http.Request) (bool, error) {
	if u == "broken" {
		return false, errors.New("broken")
	}
	return strings.HasPrefix(r.URL.Path, string(u)), nil
}

// route is one with a matcher, unless that is empty, in a group, unless that is empty.
func route(matcher under, group string, handlers ...caddyhttp.MiddlewareHandler) caddyhttp.Route {
	made := caddyhttp.Route{Group: group, Handlers: handlers}
	if matcher != "" {
		made.MatcherSets = caddyhttp.MatcherSets{{matcher}}
	}
	return made
}

func terminal(r caddyhttp.Route) caddyhttp.Route {
	r.Terminal = true
	return r
}

func in(list ...caddyhttp.Route) *caddyhttp.Subroute { return &caddyhttp.Subroute{Routes: list} }

// TestWhoAnswersBehindAPlace: as Caddy's own routes would have it, but for handlers of other
// modules, of which it is not known that they answer.
//
// Seen to fail without each case of meet, without the groups of routes in front, without
// Terminal, and with the lists around a place in the wrong order.
func TestWhoAnswersBehindAPlace(t *testing.T) {
	strip := &rewrite.Rewrite{StripPathPrefix: "/files"}
	for _, test := range []struct {
		name   string
		routes caddyhttp.RouteList
		path   string
		want   caddyhttp.MiddlewareHandler // nil: nobody
		broken bool
	}{
		{"the next handler of the route", caddyhttp.RouteList{route("", "", guard, passes, named("/a"))}, "/a", named("/a"), false},
		{"the next route", caddyhttp.RouteList{route("", "", guard), route("", "", named("/a"))}, "/a", named("/a"), false},
		{"nobody, for another path", caddyhttp.RouteList{route("", "", guard), route("", "", named("/a"))}, "/b", nil, false},
		{"nobody, where the handler is in front", caddyhttp.RouteList{route("", "", named("/a")), route("", "", guard)}, "/a", nil, false},
		{"the first of two", caddyhttp.RouteList{route("", "", guard), route("", "", named("/a")), route("", "", named("/"))}, "/a", named("/a"), false},
		{"a route that does not match is left out", caddyhttp.RouteList{route("", "", guard), route("/b", "", named("/")), route("", "", named("/a"))}, "/a", named("/a"), false},
		{"a handler deeper in", caddyhttp.RouteList{route("", "", guard), route("", "", in(route("/a", "", in(route("", "", named("/a"))))))}, "/a", named("/a"), false},
		{"a handler further out", caddyhttp.RouteList{route("", "", in(route("", "", in(route("", "", guard)))), named("/a"))}, "/a", named("/a"), false},
		{"the inner of two further out", caddyhttp.RouteList{route("", "", in(route("", "", guard), route("", "", named("/a")))), route("", "", named("/"))}, "/a", named("/a"), false},
		{"only the first that matches of a group", caddyhttp.RouteList{route("", "", guard), route("/a", "g", passes), route("", "g", named("/"))}, "/a", nil, false},
		{"the second of a group, when the first does not match", caddyhttp.RouteList{route("", "", guard), route("/a", "g", passes), route("", "g", named("/"))}, "/b", named("/"), false},
		{"none of the group of the place", caddyhttp.RouteList{route("", "g", in(route("", "", guard))), route("", "g", named("/"))}, "/a", nil, false},
		{"none of a group in front", caddyhttp.RouteList{route("/a", "g", passes), route("", "", guard), route("", "g", named("/"))}, "/a", nil, false},
		{"nobody behind a terminal route", caddyhttp.RouteList{route("", "", guard), terminal(route("/a", "", passes)), route("", "", named("/"))}, "/a", nil, false},
		{"nobody behind the terminal route of the place", caddyhttp.RouteList{terminal(route("", "", in(route("", "", guard)))), route("", "", named("/"))}, "/a", nil, false},
		{"a handler where a prefix was stripped", caddyhttp.RouteList{route("", "", guard), route("/files/", "g", in(route("", "", strip), route("", "", named("/a"))))}, "/files/a", named("/a"), false},
		{"nobody, where that stripped the path of a handler", caddyhttp.RouteList{route("", "", guard, strip, named("/files"))}, "/files/a", nil, false},
		{"a matcher sees the stripped path", caddyhttp.RouteList{route("", "", guard, strip), route("/a", "", named("/"))}, "/files/a", named("/"), false},
		{"a named route", caddyhttp.RouteList{route("", "", guard, &caddyhttp.Invoke{Name: "answers"})}, "/n", named("/n"), false},
		{"nobody in a route that invokes itself", caddyhttp.RouteList{route("", "", guard, &caddyhttp.Invoke{Name: "again"})}, "/a", nil, false},
		{"a broken matcher", caddyhttp.RouteList{route("", "", guard), route("broken", "", passes), route("", "", named("/"))}, "/a", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &caddyhttp.Server{Routes: test.routes, NamedRoutes: map[string]*caddyhttp.Route{
				"answers": {Handlers: []caddyhttp.MiddlewareHandler{named("/n")}},
				"again":   {Handlers: []caddyhttp.MiddlewareHandler{&caddyhttp.Invoke{Name: "again"}}},
			}}
			found := Places(server, isGuard)
			if len(found) != 1 {
				t.Fatalf("%d places", len(found))
			}
			r := httptest.NewRequest(http.MethodGet, test.path, nil)
			r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
			got, err := found[0].Answering(r, answersBelow)
			if got != test.want || (err != nil) != test.broken {
				t.Errorf("%v answers, %v; want %v", got, err, test.want)
			}
			if r.URL.Path != test.path || r.RequestURI != test.path {
				t.Errorf("the request was left as %s, %s", r.URL, r.RequestURI)
			}
		})
	}
}

// TestHandlersOfCaddyThatAnswer end the way; a proxy that goes on by its response does not.
func TestHandlersOfCaddyThatAnswer(t *testing.T) {
	goesOn := &reverseproxy.Handler{HandleResponse: []caddyhttp.ResponseHandler{{}}}
	for _, handler := range []caddyhttp.MiddlewareHandler{
		new(caddyhttp.StaticResponse), new(caddyhttp.StaticError), new(fileserver.FileServer), new(reverseproxy.Handler), goesOn,
	} {
		server := &caddyhttp.Server{Routes: caddyhttp.RouteList{route("", "", guard, handler, named("/"))}}
		got, err := Places(server, isGuard)[0].Answering(httptest.NewRequest(http.MethodGet, "/a", nil), answersBelow)
		if want := map[bool]caddyhttp.MiddlewareHandler{true: named("/"), false: handler}[handler == goesOn]; got != want || err != nil {
			t.Errorf("%T answers, %v; want %T", got, err, want)
		}
	}
}

// TestANamedRouteHasAPlaceForEachInvocation, and one that invokes itself has few.
func TestANamedRouteHasAPlaceForEachInvocation(t *testing.T) {
	invoke := &caddyhttp.Invoke{Name: "guarded"}
	server := &caddyhttp.Server{
		Routes:      caddyhttp.RouteList{route("/a", "", invoke, named("/a")), route("/b", "", invoke, named("/b"))},
		NamedRoutes: map[string]*caddyhttp.Route{"guarded": {Handlers: []caddyhttp.MiddlewareHandler{guard}}},
	}
	if found := Places(server, isGuard); len(found) != 2 {
		t.Errorf("%d places, want 2", len(found))
	}
	server.NamedRoutes["guarded"].Handlers = append(server.NamedRoutes["guarded"].Handlers, invoke)
	if found := Places(server, isGuard); len(found) > 2*deepest {
		t.Errorf("%d places of a route that invokes itself", len(found))
	}
}
