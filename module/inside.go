package module

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/generic-registry/caddy-generic-registry/module/web/routes"
)

// findPlaces returns where the servers have the authenticator, which is known once all of the
// configuration is.
func (a *Authenticator) findPlaces() (places []routes.Place) {
	app, err := a.app.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		places = append(places, routes.Places(server, a.isProviderOf)...)
	}
	return places
}

func (a *Authenticator) isProviderOf(handler caddyhttp.MiddlewareHandler) bool {
	authentication, ok := handler.(*caddyauth.Authentication)
	if !ok {
		return false
	}
	for _, provider := range authentication.Providers {
		if provider == caddyauth.Authenticator(a) {
			return true
		}
	}
	return false
}

// isInside tells whether a registry of the authenticator's root answers a request. Of a
// request that may have come through one of several places, all must say so.
func (a *Authenticator) isInside(r *http.Request) bool {
	places := a.places()
	for _, place := range places {
		if !a.answersBehind(place, r) {
			return false
		}
	}
	return len(places) > 0
}

func (a *Authenticator) answersBehind(place routes.Place, r *http.Request) bool {
	offered := false // by a registry, which answers when nobody behind it does
	answering, err := place.Answering(r, func(handler caddyhttp.MiddlewareHandler, r *http.Request) bool {
		h, ok := handler.(*Handler)
		if !ok {
			return false
		}
		always, otherwise := h.answers(r)
		offered = offered || otherwise && h.Root == a.Root
		return always
	})
	if err != nil {
		return false
	}
	if answering == nil {
		return offered
	}
	h, ok := answering.(*Handler)
	return ok && h.Root == a.Root
}
